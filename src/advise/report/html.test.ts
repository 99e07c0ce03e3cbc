import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { hostileText } from '../../../test/lib/hostile-text.ts';
import { escapeHtml, html } from './html.ts';

test('values are text, whatever they say; markup of ours goes through', () => {
  assert.equal(html`<p title="${'" onload="x'}">${'<b>&</b>'}${html`<i>${1}</i>`}${['a', html`<br>`, undefined, false]}</p>`.write(escapeHtml), '<p title="&#34; onload=&#34;x">&#60;b&#62;&#38;&#60;/b&#62;<i>1</i>a<br></p>');
});

test('no character that means something in HTML is left, nor one that controls a screen', () => {
  fc.assert(fc.property(hostileText(200), (text) => {
    const escaped = escapeHtml(text);
    assert.doesNotMatch(escaped.replace(/&#\d+;/g, ''), /[&<>"'`]/);
    assert.doesNotMatch(escaped, /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/);
    assert.ok(escaped.isWellFormed());
  }));
  assert.equal(escapeHtml('user\u202egnp.exe\u0000\u001b[31m'), 'usergnp.exe');
});
