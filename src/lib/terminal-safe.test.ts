import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { terminalSafe, terminalSafeLine } from './terminal-safe.ts';

it('takes sequences out as a whole', () => {
  const cases: [string, string][] = [
    ['\x1b[31mred\x1b[0m', 'red'],
    ['\x9b31mred', 'red'],
    ['\x1b]0;title\x07text', 'text'],
    ['\x1b]52;c;ZXZpbA==\x1b\\text', 'text'],
    ['\x9d8;;http://evil\x9clink', 'link'],
    ['\x1bP+q544e\x1b\\text', 'text'],
    ['\x1b_app\x1b\\text', 'text'],
    ['\x1bcreset', 'reset'],
    ['\x1b(0line', 'line'],
    ['a\rb\x08c\x00d\x7fe\x85f', 'abcdef'],
    ['one\ntwo\tthree', 'one\ntwo\tthree'],
    ['user\u202egnp.exe', 'usergnp.exe'],
    ['ünïcode 日本 😀', 'ünïcode 日本 😀'],
    ['\ud800x', '\ufffdx'],
  ];
  for (const [text, expected] of cases) assert.equal(terminalSafe(text), expected, JSON.stringify(text));
  assert.equal(terminalSafeLine('a\r\nb\tc\x1b[2Jd'), 'a b cd');
});

it('leaves nothing that a terminal would obey, whatever comes', () => {
  const nasty = fc.array(fc.constantFrom('\x1b', '[', ']', '\\', '\x07', '\x9b', '\x9c', '\x9d', 'P', '0', ';', 'm', '\n', '\x1b\x1b', '\x00'), { maxLength: 30 });
  fc.assert(fc.property(fc.oneof(nasty.map((parts) => parts.join('')), fc.string({ unit: 'binary' })), (text) => {
    assert.doesNotMatch(terminalSafe(text), /[\x00-\x08\x0b-\x1f\x7f-\x9f]/);
    assert.doesNotMatch(terminalSafeLine(text), /[\x00-\x1f\x7f-\x9f]/);
  }));
});

it('takes time that grows with the length', () => {
  for (const part of ['\x1b]', '\x1b[', '\x1b[0', '\x9d', '\x1b ']) {
    const start = performance.now();
    terminalSafe(part.repeat(200_000));
    assert.ok(performance.now() - start < 2000, JSON.stringify(part));
  }
});
