/** Writing into the page only what is new there: an unchanged text would be laid out, and read aloud, again. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
