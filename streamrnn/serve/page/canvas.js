/** Canvases as sharp as the screen: drawn in CSS pixels, whatever the screen's own are. */

/** Makes the canvas as large as it is shown; gives that size in CSS pixels. */
export function fitted(canvas, context) {
  const ratio = window.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return { width, height };
}
