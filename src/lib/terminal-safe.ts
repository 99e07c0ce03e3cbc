/** Text from images, guests and tenants on somebody's terminal: it may say anything, and must not do anything. */

// A control sequence as a whole (ECMA-48), so that its letters do not stay behind as noise: CSI, then strings (OSC, DCS,
// SOS, PM, APC) up to their end, then two-character escapes. A string's body stops at any control character, so matching stays linear.
const SEQUENCES = /(?:\x1b\[|\x9b)[\x30-\x3f]*[\x20-\x2f]*[\x40-\x7e]|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x00-\x1f\x7f-\x9f]*(?:\x07|\x1b\\|\x9c)|\x1b[\x20-\x2f]*[\x30-\x7e]/g;
// What is left of control characters, and marks that change the direction of text (they make one word look like another).
const CONTROLS = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\u2028\u2029]/g;

/** Keeps line feeds and tabs; drops every other control character and every control sequence. */
export function terminalSafe(text: string): string {
  return text.replace(SEQUENCES, '').replace(CONTROLS, '').toWellFormed();
}

/** The same for text that must stay on one line: line feeds and tabs become spaces. */
export function terminalSafeLine(text: string): string {
  return terminalSafe(text.replace(/\r\n?/g, '\n')).replace(/[\n\t]/g, ' ');
}
