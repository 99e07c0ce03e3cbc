/**
 * CSV as RFC 4180 says it, read with tolerance where tools differ: comma, semicolon or tab, CR, LF or both, a byte order
 * mark. A broken row is reported with its line, and reading goes on with the next line.
 */

export interface CsvRow {
  /** Of the text, from 1: where the row begins. */
  readonly line: number;
  readonly cells: readonly string[];
}

export interface CsvProblem {
  readonly line: number;
  readonly message: string;
}

export interface CsvTable {
  readonly header: CsvRow | undefined;
  readonly rows: readonly CsvRow[];
  readonly problems: readonly CsvProblem[];
}

const MAX_ROWS = 200_000;
const MAX_COLUMNS = 512;
const MAX_CELL = 32 * 1024;
/** A text with more is no table: looking for the end of every open quote would take the square of its length. */
const MAX_PROBLEMS = 100;

export function parseCsv(text: string): CsvTable {
  const reader = new CsvReader(text);
  const rows: CsvRow[] = [];
  const problems: CsvProblem[] = [];
  for (;;) {
    if (problems.length >= MAX_PROBLEMS || rows.length >= MAX_ROWS) {
      if (!reader.atEnd()) problems.push({ line: reader.line, message: rows.length >= MAX_ROWS ? `only the first ${MAX_ROWS} rows are read` : 'too many broken rows: the rest is not read' });
      break;
    }
    const row = reader.next();
    if (row === undefined) break;
    if ('message' in row) problems.push(row);
    else if (row.cells.length > 1 || row.cells[0] !== '') rows.push(row);
  }
  const [header, ...rest] = rows;
  return { header, rows: rest, problems };
}

/** The separator that stands most often in the first line, outside of quotes. */
function separatorOf(text: string): string {
  const end = text.search(/[\r\n]/);
  const first = (end < 0 ? text : text.slice(0, end)).slice(0, MAX_CELL).replaceAll(/"[^"]*"/g, '');
  const counts = [',', ';', '\t'].map((one) => ({ one, count: first.split(one).length }));
  return counts.reduce((best, next) => (next.count > best.count ? next : best)).one;
}

class CsvReader {
  line = 1;
  readonly #text: string;
  readonly #separator: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text.startsWith('\ufeff') ? text.slice(1) : text;
    this.#separator = separatorOf(this.#text);
  }

  atEnd(): boolean {
    return this.#at >= this.#text.length;
  }

  next(): CsvRow | CsvProblem | undefined {
    if (this.atEnd()) return undefined;
    const start = this.#at;
    const line = this.line;
    const cells: string[] = [];
    for (;;) {
      const cell = this.#text[this.#at] === '"' ? this.#quoted() : this.#plain();
      if (typeof cell !== 'string') return this.#skip(start, line, cell.message);
      if (cells.push(cell) > MAX_COLUMNS) return this.#skip(start, line, `more than ${MAX_COLUMNS} columns`);
      if (this.#text[this.#at] === this.#separator) this.#at++;
      else break;
    }
    this.#endOfLine();
    return { line, cells };
  }

  #plain(): string | { readonly message: string } {
    const start = this.#at;
    while (this.#at < this.#text.length) {
      const letter = this.#text[this.#at]!;
      if (letter === this.#separator || letter === '\n' || letter === '\r') break;
      if (++this.#at - start > MAX_CELL) return { message: `a cell of more than ${MAX_CELL} characters` };
    }
    return this.#text.slice(start, this.#at);
  }

  #quoted(): string | { readonly message: string } {
    let value = '';
    let at = this.#at + 1;
    for (;;) {
      const end = this.#text.slice(at, at + MAX_CELL + 1).indexOf('"');
      if (end < 0 || value.length + end > MAX_CELL) return { message: 'a quote is opened and not closed' };
      value += this.#text.slice(at, at + end);
      at += end + 1;
      if (this.#text[at] !== '"') break;
      value += '"';
      at++;
    }
    const after = this.#text[at];
    if (after !== undefined && after !== this.#separator && after !== '\n' && after !== '\r') return { message: 'text follows a closed quote: a quote inside is written twice' };
    for (const letter of value) if (letter === '\n') this.line++;
    this.#at = at;
    return value;
  }

  #endOfLine(): void {
    if (this.#text[this.#at] === '\r') this.#at++;
    if (this.#text[this.#at] === '\n') this.#at++;
    this.line++;
  }

  /** Reading goes on after the end of the line on which the row began. */
  #skip(start: number, line: number, message: string): CsvProblem {
    const end = this.#text.indexOf('\n', start);
    this.#at = end < 0 ? this.#text.length : end + 1;
    this.line = line + 1;
    return { line, message };
  }
}
