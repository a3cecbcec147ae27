// Texts of the paper are HTML that the server has cleaned. They are still not trusted: they are read into a document that
// runs nothing, and what the lists below allow is rebuilt from there, element by element.

const HTML = new Set(("a abbr b blockquote br caption cite code dd del dfn div dl dt em figcaption figure hr i ins kbd li mark ol p "
  + "pre q rp rt ruby s samp small span strong sub sup table tbody td tfoot th thead tr u ul var img").split(" "));
const MATH = new Set(("math maction menclose merror mfrac mi mmultiscripts mn mo mover mpadded mphantom mprescripts mroot mrow ms "
  + "mspace msqrt mstyle msub msubsup msup mtable mtd mtext mtr munder munderover none semantics").split(" "));
const DROPPED = new Set("script style template iframe object embed noscript annotation annotation-xml".split(" "));
const ATTRIBUTES = new Set(("lang dir title colspan rowspan scope start type alt width height display mathvariant stretchy fence "
  + "separator lspace rspace linethickness columnalign rowalign columnspacing rowspacing columnlines rowlines frame notation "
  + "accent accentunder displaystyle scriptlevel form largeop movablelimits symmetric minsize maxsize depth voffset "
  + "columnspan numalign denomalign bevelled").split(" "));
const MATHML = "http://www.w3.org/1998/Math/MathML";
const PICTURE = /^\/media\/[\w.-]+$/;

const policy = globalThis.trustedTypes?.createPolicy("exam-paper", { createHTML: (text) => text });
const parse = (text) => new DOMParser().parseFromString(policy ? policy.createHTML(text) : text, "text/html").body;

function copy(from, to) {
  for (const node of from.childNodes) {
    if (node.nodeType === Node.TEXT_NODE) to.append(node.data);
    if (node.nodeType !== Node.ELEMENT_NODE) continue;
    const name = node.localName;
    const math = node.namespaceURI === MATHML;
    if (DROPPED.has(name) || node.namespaceURI === "http://www.w3.org/2000/svg") continue;
    if (!(math ? MATH : HTML).has(name) || name === "a") {
      copy(node, to);
      continue;
    }
    if (name === "img" && !PICTURE.test(node.getAttribute("src") ?? "")) {
      to.append(node.getAttribute("alt") ?? "");
      continue;
    }
    const made = math ? document.createElementNS(MATHML, name) : document.createElement(name);
    for (const { name: attribute, value } of node.attributes) if (ATTRIBUTES.has(attribute)) made.setAttribute(attribute, value);
    if (name === "img") made.setAttribute("src", node.getAttribute("src"));
    copy(node, made);
    to.append(made);
  }
  return to;
}

/** The text as a fragment of allowed elements. */
export function fragment(html) {
  return copy(parse(html), document.createDocumentFragment());
}

/** The text without any markup. */
export function plain(html) {
  return fragment(html).textContent.replace(/\s+/g, " ").trim();
}

/** Whether the text is more than a line of letters in one language, so that a list of choices cannot show it. */
export function rich(html) {
  return fragment(html).querySelector("math, img, table, sub, sup, [lang] + [lang]") !== null;
}

/**
 * The item with each text in all of `codes`, one element for each, under the name of the first: so its inputs exist once. The
 * gaps of a text are in the first language, numbered as they come there; in the others their numbers stand.
 */
export function inAll(item, codes) {
  const first = item.interaction.text?.[codes[0]] ?? "";
  const gaps = (item.interaction.gaps ?? []).map((gap) => gap.id).sort((a, b) => first.indexOf(`[[${a}]]`) - first.indexOf(`[[${b}]]`));
  const numbered = (html, kept) => gaps.reduce((text, id, i) => text.replace(`[[${id}]]`, `<b>(${i + 1})</b>${kept ? ` [[${id}]]` : ""}`), html);
  const merged = (part, bare) => {
    if (part === null || typeof part !== "object") return part;
    if (Array.isArray(part)) return part.map((each) => merged(each, bare));
    const known = codes.filter((code, i) => part[code] !== undefined && !codes.slice(0, i).some((other) => part[other] === part[code]));
    if (!known.length) return Object.fromEntries(Object.entries(part).map(([name, value]) => [name, merged(value, bare || name === "gaps")]));
    const texts = known.map((code, i) => (bare ? part[code] : `<div lang="${code}">${numbered(part[code], i === 0)}</div>`));
    return { [codes[0]]: texts.join(bare ? " / " : " ") };
  };
  return merged(item, false);
}
