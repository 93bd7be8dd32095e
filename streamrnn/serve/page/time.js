/** Times as people read them. */

/** 83.456 as 1:23, or with digits after the point: 1:23.46. */
export function clockText(time_s, digits = 0) {
  const rounded = Number(time_s.toFixed(digits));
  const seconds = (rounded % 60).toFixed(digits).padStart(digits ? 3 + digits : 2, "0");
  return `${Math.floor(rounded / 60)}:${seconds}`;
}

/** The moment that is shown: follows where the sound is without its jumps. */
export class ViewClock {
  constructor() {
    this.shown_s = 0;
    this.last_ms = 0;
  }

  /** Sound comes in steps of some 20 ms; the picture moves evenly behind it. */
  advance(target_s, now_ms) {
    const passed_s = Math.min(0.1, (now_ms - this.last_ms) / 1000);
    this.last_ms = now_ms;
    const gap_s = target_s - this.shown_s;
    const isJump = gap_s < -0.05 || gap_s > 0.5;
    this.shown_s = isJump ? target_s : Math.min(target_s, this.shown_s + passed_s * Math.max(0.5, 1 + 4 * (gap_s - 0.05)));
    return this.shown_s;
  }
}
