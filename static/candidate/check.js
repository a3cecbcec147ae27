// The page that checks receipts works without this. A link may bring a receipt along, behind a # so that no log has it:
// this types it into the form and asks.

const brought = location.hash.slice(1);
const whole = /^([0-9a-f]{64})\.([0-9a-f]{128})\.([0-9a-f]{8})$/.exec(brought);
const fields = whole ? { digest: whole[1], signature: whole[2], key_id: whole[3] }
  : /^[0-9A-Za-z-]{12,14}$/.test(brought) ? { code: brought } : null;

if (fields) {
  const form = document.querySelector(whole ? "#whole" : "#short");
  for (const [name, value] of Object.entries(fields)) form.elements[name].value = value;
  history.replaceState(null, "", location.pathname + location.search); // going back must not ask again
  form.requestSubmit();
}
