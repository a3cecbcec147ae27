// Reads gettext catalogues, the .po files of words/, as translators' tools write them.

const LINE = /^(?:(msgid|msgid_plural|msgstr)(?:\[(\d)\])? )?"(.*)"$/;
const ESCAPED = { n: "\n", t: "\t" };

/** The sentences of a catalogue: {id: sentence}, or a list of sentences where a number chooses among them. */
export function readCatalogue(text) {
  const entries = [];
  let place = ""; // what a line without a keyword goes on with
  let form = 0;
  for (const line of text.split(/\r?\n/)) {
    const [, keyword, number = 0, quoted] = LINE.exec(line) ?? [];
    if (quoted === undefined) continue; // a comment, or nothing
    if (keyword) [place, form] = [keyword, Number(number)];
    if (keyword === "msgid") entries.push({ id: "", forms: [] });
    const entry = entries.at(-1);
    const words = quoted.replace(/\\(.)/g, (_, letter) => ESCAPED[letter] ?? letter);
    if (place === "msgid") entry.id += words;
    else if (place === "msgstr") entry.forms[form] = (entry.forms[form] ?? "") + words;
  }
  const said = entries.filter(({ id, forms }) => id && forms.every(Boolean)); // not the header, nor what nobody has translated
  return Object.fromEntries(said.map(({ id, forms }) => [id, forms.length > 1 ? forms : forms[0]]));
}
