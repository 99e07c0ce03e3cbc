/**
 * XML 1.0 as programs write it: elements, attributes, text, CDATA. No document type, so no entities beyond the five and
 * character references: what is not there cannot expand or reach for files. Prefixes stay a part of the name.
 */

export interface XmlElement {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: readonly XmlElement[];
  /** Its own text without that of its children, trimmed. */
  readonly text: string;
  /** From 1. */
  readonly line: number;
}

export class XmlError extends Error {
  readonly line: number;
  constructor(line: number, message: string) {
    super(message);
    this.name = 'XmlError';
    this.line = line;
  }
}

const MAX_DEPTH = 64;
const MAX_ELEMENTS = 200_000;
const MAX_ATTRIBUTES = 256;

const NAME = /[A-Za-z_][\w.:-]*/y;
const SPACE = /[ \t\r\n]*/y;
const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

/** Every element at the top: several documents may follow each other, as `virsh dumpxml` in a loop writes them. @throws XmlError */
export function parseXml(text: string): readonly XmlElement[] {
  return new XmlReader(text).documents();
}

interface Open {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: XmlElement[];
  readonly line: number;
  text: string;
}

class XmlReader {
  readonly #text: string;
  #at = 0;
  #line = 1;
  #counted = 0;
  #elements = 0;

  constructor(text: string) {
    this.#text = text.startsWith('\ufeff') ? text.slice(1) : text;
  }

  documents(): readonly XmlElement[] {
    const top: XmlElement[] = [];
    const open: Open[] = [];
    while (this.#at < this.#text.length) {
      if (this.#text[this.#at] !== '<') this.#characters(open.at(-1));
      else if (this.#text.startsWith('<!--', this.#at)) this.#until('-->', 'a comment');
      else if (this.#text.startsWith('<?', this.#at)) this.#until('?>', 'a processing instruction');
      else if (this.#text.startsWith('<![CDATA[', this.#at)) this.#cdata(open.at(-1));
      else if (this.#text.startsWith('<!', this.#at)) throw this.#error('a document type is not read: entities could hide in it');
      else if (this.#text.startsWith('</', this.#at)) this.#close(open, top);
      else this.#open(open, top);
    }
    const last = open.at(-1);
    if (last !== undefined) throw new XmlError(last.line, `<${last.name}> is not closed`);
    return top;
  }

  #open(open: Open[], top: XmlElement[]): void {
    const line = this.#lineHere();
    this.#at++;
    const name = this.#name();
    if (open.length >= MAX_DEPTH) throw this.#error(`more than ${MAX_DEPTH} elements within each other`);
    if (++this.#elements > MAX_ELEMENTS) throw this.#error(`more than ${MAX_ELEMENTS} elements`);
    const attributes: Record<string, string> = Object.create(null) as Record<string, string>;
    for (let count = 0; ; count++) {
      this.#space();
      if (this.#text.startsWith('/>', this.#at)) {
        this.#at += 2;
        (open.at(-1)?.children ?? top).push({ name, attributes, children: [], text: '', line });
        return;
      }
      if (this.#text[this.#at] === '>') {
        this.#at++;
        open.push({ name, attributes, children: [], line, text: '' });
        return;
      }
      if (count >= MAX_ATTRIBUTES) throw this.#error(`<${name}> has more than ${MAX_ATTRIBUTES} attributes`);
      const key = this.#name();
      if (key in attributes) throw this.#error(`<${name}> has the attribute ${key} twice`);
      this.#space();
      if (this.#text[this.#at] !== '=') throw this.#error(`the attribute ${key} has no value`);
      this.#at++;
      this.#space();
      const quote = this.#text[this.#at];
      const end = quote === '"' || quote === "'" ? this.#text.indexOf(quote, this.#at + 1) : -1;
      if (end < 0) throw this.#error(`the value of the attribute ${key} is not in quotes`);
      attributes[key] = this.#decoded(this.#text.slice(this.#at + 1, end));
      this.#at = end + 1;
    }
  }

  #close(open: Open[], top: XmlElement[]): void {
    this.#at += 2;
    const name = this.#name();
    this.#space();
    const element = open.pop();
    if (element?.name !== name) throw this.#error(element === undefined ? `</${name}> closes nothing` : `</${name}> closes <${element.name}> of line ${element.line}`);
    if (this.#text[this.#at] !== '>') throw this.#error(`</${name} is not ended`);
    this.#at++;
    (open.at(-1)?.children ?? top).push({ ...element, text: element.text.trim() });
  }

  #characters(parent: Open | undefined): void {
    const end = this.#text.indexOf('<', this.#at);
    const raw = this.#text.slice(this.#at, end < 0 ? undefined : end);
    if (parent !== undefined) parent.text += this.#decoded(raw);
    else if (raw.trim() !== '') throw this.#error('text outside of any element');
    this.#at += raw.length;
  }

  #cdata(parent: Open | undefined): void {
    const start = this.#at + '<![CDATA['.length;
    this.#until(']]>', 'a CDATA section');
    if (parent !== undefined) parent.text += this.#text.slice(start, this.#at - 3);
  }

  #until(end: string, what: string): void {
    const found = this.#text.indexOf(end, this.#at);
    if (found < 0) throw this.#error(`${what} is not ended`);
    this.#at = found + end.length;
  }

  #name(): string {
    NAME.lastIndex = this.#at;
    const name = NAME.exec(this.#text)?.[0];
    if (name === undefined) throw this.#error('a name is missing');
    this.#at += name.length;
    return name;
  }

  #space(): void {
    SPACE.lastIndex = this.#at;
    this.#at += SPACE.exec(this.#text)![0].length;
  }

  #decoded(raw: string): string {
    if (!raw.includes('&')) return raw;
    return raw.replaceAll(/&([^;\s&]{0,12};?)/g, (_, inner: string) => {
      const name = inner.endsWith(';') ? inner.slice(0, -1) : '';
      const number = /^#(?:x([0-9a-fA-F]{1,6})|([0-9]{1,7}))$/.exec(name);
      const code = number === null ? undefined : Number.parseInt(number[1] ?? number[2]!, number[1] === undefined ? 10 : 16);
      if (code !== undefined && code > 0 && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff)) return String.fromCodePoint(code);
      const known = Object.hasOwn(ENTITIES, name) ? ENTITIES[name] : undefined;
      if (known === undefined) throw this.#error(`the entity &${inner} is not known`);
      return known;
    });
  }

  /** Counted on from where it was counted last. */
  #lineHere(): number {
    for (; this.#counted < this.#at; this.#counted++) if (this.#text.charCodeAt(this.#counted) === 10) this.#line++;
    return this.#line;
  }

  #error(message: string): XmlError {
    return new XmlError(this.#lineHere(), message);
  }
}
