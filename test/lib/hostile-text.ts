/** Text out of everything that means something to somebody: markup, spreadsheets, terminals, direction marks, broken surrogates. */
import fc from 'fast-check';

const UNITS = [...'abzA09 .,;:-+=@|%<>&"\'`\\/*_[](){}#!~$?^\t\r\n', '\0', '\u001b', '\u009b', '\u0007', '\u202e', '\u2066', '\u2028', '\ufeff', '\u00a0', '\ud800', '\udfff', '＝', 'é', '漢', '😀', '--', '://', '</', '<!--', ']]>', '&lt;'];

export function hostileText(maxLength: number): fc.Arbitrary<string> {
  return fc.string({ unit: fc.constantFrom(...UNITS), maxLength });
}
