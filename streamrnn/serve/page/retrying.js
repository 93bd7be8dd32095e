/** When to connect again after a connection was lost, and when not. */

const FIRST_BACKOFF_MS = 250;
const LONGEST_BACKOFF_MS = 5_000;

// Trying again does not help against these.
const FINAL = new Set(["bad_hello", "unsupported_version", "unknown_model", "unauthorized", "taken_over", "bad_message"]);

/** Whether an error with this code will come again. */
export function isFinal(code) {
  return FINAL.has(code);
}

/** How long to wait after so many failures in a row: clients that were cut off together must not come back together. */
export function backoff_ms(failures) {
  const longest_ms = Math.min(LONGEST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** (failures - 1));
  return longest_ms * (0.75 + Math.random() / 4);
}
