// Shows the service that this is Safe Exam Browser, where it cannot do so by itself in every request: it tells the page the
// hashes of its keys over the page's address, and they travel with what the page sends.

const PATIENCE = 3000; // ms; a browser that says nothing by then says nothing at all

/** The headers that prove it; none where this browser does not tell. */
export async function prove() {
  const { security } = globalThis.SafeExamBrowser;
  if (!security) return {};
  if (!security.configKey && !security.browserExamKey && security.updateKeys) {
    await new Promise((done) => {
      setTimeout(done, PATIENCE);
      function examKeysAreHere() { done(); }
      globalThis.examKeysAreHere = examKeysAreHere; // some versions call what they are given by its name
      security.updateKeys(examKeysAreHere);
    });
  }
  const shown = { "Seb-Config-Key-Hash": security.configKey, "Seb-Browser-Exam-Key-Hash": security.browserExamKey };
  const told = Object.entries(shown).filter(([, hash]) => /^[0-9a-f]{64}$/i.test(hash));
  return told.length ? { "Seb-Page": location.href.split("#")[0], ...Object.fromEntries(told) } : {};
}
