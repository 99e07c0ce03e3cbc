import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseXml, XmlError } from './xml.ts';

test('elements, attributes, text, CDATA, comments, several documents', () => {
  const [first, second] = parseXml('<?xml version="1.0"?>\n<!-- c -->\n<a x="1 &amp; 2" y=\'z\'>\n  <b>t&#x41;&lt;</b><c/><![CDATA[<raw>]]>\n</a>\n<d:e/>\n');
  assert.deepEqual({ ...first!.attributes }, { x: '1 & 2', y: 'z' });
  assert.deepEqual(first!.children.map((one) => [one.name, one.text, one.line]), [['b', 'tA<', 4], ['c', '', 4]]);
  assert.equal(first!.text, '<raw>');
  assert.equal(second!.name, 'd:e');
});

test('a document type, and so every entity of its own, is refused', () => {
  const bomb = '<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;">]>\n<a>&c;</a>';
  assert.throws(() => parseXml(bomb), /document type/);
  assert.throws(() => parseXml('<a>&passwd;</a>'), /entity &passwd; is not known/);
});

function at(text: string, line: number, message: RegExp): void {
  assert.throws(() => parseXml(text), (error) => error instanceof XmlError && error.line === line && message.test(error.message), text);
}

test('what is broken is said with its line', () => {
  at('<a>\n<b>\n</a>', 3, /closes <b> of line 2/);
  at('<a>\n', 1, /not closed/);
  at('<a>\n<b x=1/></a>', 2, /not in quotes/);
  at('<a>\n<b x="1" x="2"/></a>', 2, /twice/);
  at('text', 1, /outside/);
  at('<a>'.repeat(100), 1, /within each other/);
});
