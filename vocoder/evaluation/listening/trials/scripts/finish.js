"use strict";
// The end: answers are saved as a file, copied, or sent.

function openEnd() {
  const { comment } = byId("finish").elements;
  comment.value = record.comment;
  comment.oninput = () => {
    record.comment = comment.value;
    keep();
  };
  byId("end-status").textContent = "";
  byId("again").hidden = true;
  byId("as-text").open = false;
}

function answersAsText() {
  return `${JSON.stringify(results(), null, 1)}\n`;
}

/** Save or send, as the test wants it. */
async function finish() {
  if (!test.post) {
    download();
    return;
  }
  say("Sending …");
  try {
    // A "simple" request, which servers get without being asked before.
    const response = await fetch(test.post, { method: "POST", body: answersAsText() });
    if (!response.ok) throw new Error(`the server says ${response.status}`);
    say("Your answers have been sent. You can close this page.");
    byId("again").hidden = false;
  } catch (error) {
    download();
    say(
      `Your answers could not be sent (${error.message}). They were saved as the file ` +
        `${fileName()} instead: please send it to those who run this test.`,
    );
  }
}

function download() {
  const url = URL.createObjectURL(new Blob([answersAsText()], { type: "application/json" }));
  element("a", { href: url, download: fileName() }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
  say(`Saved as ${fileName()}. Please send this file to those who run this test.`);
  byId("again").hidden = false;
}

function fileName() {
  const listener = record.listener.replace(/[^\p{L}\p{N}_-]+/gu, "-");
  return `${test.file}-${test.id.slice(0, 6)}-${listener}.json`;
}

async function copyAnswers() {
  try {
    await navigator.clipboard.writeText(answersAsText());
    say("Copied. Paste it into a mail to those who run this test.");
    byId("again").hidden = false;
  } catch {
    byId("as-text").open = true;
    showText();
    byId("text").select();
    say("The browser does not allow it: copy the text below.");
  }
}

function showText() {
  byId("text").value = answersAsText();
}

function say(words) {
  byId("end-status").textContent = words;
}
