"use strict";
// Follows a process by the stream of its API until it has ended, and lets people cancel and retry it.
(() => {
  const LONGEST_WAIT_MS = 30000;
  const SILENCE_MS = 10000; // the stream answers about once a second
  const SHOWN_CHARACTERS = 100000; // of the log; the link above it leads to the whole
  const BLOCK_CHARACTERS = 4000;
  const { call, act, confirm, prefix } = sidereal;
  const find = (id) => document.getElementById(id);
  const { id, identifier, position, ended, begun: wordOfBegun } = find("process").dataset;
  const path = `/api/pipeline/${id}`;

  function setText(element, text) {
    if (element.textContent !== text) element.textContent = text;
  }

  // --- how it stands ---

  function showProcess({ status, progress: { done, total }, failure_message: failure, terminal_timestamp: end }) {
    const isEnded = end !== null;
    const word = status === "pending" && total ? wordOfBegun : status;
    setText(find("status"), word);
    find("status").dataset.status = word;
    document.title = `${word}: ${identifier} · Sidereal`;
    const bar = find("bar");
    if (total || isEnded) {
      bar.max = total || 1;
      bar.value = done;
    } else {
      bar.removeAttribute("value");
    }
    setText(find("steps"), total ? `${done} of ${total}` : "");
    setText(find("failure"), failure ?? "");
    find("failure").hidden = !failure;
    setText(find("ended"), isEnded ? time(end) : "not yet");
    swap(find("cancel"), !isEnded);
    swap(find("retry"), status === "failed");
    if (isOver && !isEnded) goOn();
  }

  // One that had failed runs again: somebody has retried it, here or elsewhere.
  function goOn() {
    isOver = false;
    setText(find("outputs").querySelector("p"), "They are shown here when it has ended.");
  }

  function time(seconds) {
    const text = new Date(seconds * 1000).toISOString();
    return `${text.slice(0, 10)} ${text.slice(11, 19)} UTC`;
  }

  // Shows or hides a button; who had the focus on one that vanishes is taken to the log.
  function swap(button, isShown) {
    if (!isShown && button === document.activeElement) log.focus({ preventScroll: true });
    button.hidden = !isShown;
  }

  // --- its log ---

  const log = find("log");
  const gap = Object.assign(document.createElement("span"), { className: "gap" });

  // In blocks, of which only the last one grows: the others need no new layout, and a selection in them survives.
  function showLog(text) {
    const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    let block = log.lastElementChild;
    for (const line of text.split(/(?<=\n)/)) {
      if (!block || (block.textContent.length > BLOCK_CHARACTERS && block.textContent.endsWith("\n"))) {
        block = log.appendChild(document.createElement("span"));
      }
      block.append(line);
    }
    // Who reads further up keeps what is being read, within reason.
    shorten(isAtEnd ? SHOWN_CHARACTERS : 3 * SHOWN_CHARACTERS);
    if (isAtEnd) log.scrollTop = log.scrollHeight;
  }

  // What goes leaves its room behind, so that nothing else moves.
  function shorten(limit) {
    const blocks = [...log.children].filter((child) => child !== gap);
    let length = log.textContent.length;
    const kept = blocks.findIndex((block, index) => {
      if (length <= limit || index === blocks.length - 1) return true;
      length -= block.textContent.length;
      return false;
    });
    if (kept <= 0) return;
    if (!gap.isConnected) log.prepend(gap);
    gap.style.height = `${blocks[kept].offsetTop - gap.offsetTop}px`;
    for (const block of blocks.slice(0, kept)) block.remove();
  }

  // --- its outputs ---

  async function showOutputs() {
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      const copy = new DOMParser().parseFromString(await answer.text(), "text/html");
      find("outputs").replaceChildren(...copy.getElementById("outputs").childNodes);
    } catch {
      setText(find("waiting"), "It has ended. Load the page again to see its outputs.");
    }
  }

  // --- the stream ---

  let last = position; // the id of the last message
  let isOver = ended !== undefined;
  let source = null;
  let wait = 1000;
  let timer = null;

  function open() {
    stopTimer();
    if (source || document.hidden) return;
    source = new EventSource(`${prefix}${path}/stream?last_event_id=${encodeURIComponent(last)}`);
    on("process", showProcess);
    on("log", ({ text }) => showLog(text));
    on("end", finish);
    source.addEventListener("open", () => {
      stopTimer();
      wait = 1000;
      setText(find("waiting"), "This page follows it.");
    });
    source.addEventListener("error", () => {
      // Each answer of the stream ends so, and the browser asks again by itself, but for an answer that is an error.
      if (source.readyState === EventSource.CLOSED) mend();
      else timer ??= setTimeout(tellSilence, SILENCE_MS); // from the first of them on: without a server they come every second
    });
  }

  function stopTimer() {
    clearTimeout(timer);
    timer = null;
  }

  function tellSilence() {
    timer = null;
    setText(find("waiting"), "No answer from the server; asking again.");
  }

  function on(name, show) {
    source.addEventListener(name, (event) => {
      last = event.lastEventId;
      show(JSON.parse(event.data));
    });
  }

  function close() {
    stopTimer();
    source?.close();
    source = null;
  }

  function finish() {
    close();
    isOver = true;
    setText(find("waiting"), "It has ended.");
    showOutputs();
  }

  // An EventSource does not tell what error it was, and gives up.
  async function mend() {
    close();
    try {
      const { terminal_timestamp: end } = await call("GET", `${path}/`);
      if (isOver && end !== null) return setText(find("waiting"), "It has ended.");
    } catch (error) {
      if (error.status === 404) return vanish();
    }
    tellSilence();
    timer = setTimeout(open, wait);
    wait = Math.min(LONGEST_WAIT_MS, 2 * wait);
  }

  function vanish() {
    isOver = true;
    setText(find("waiting"), "This process was deleted.");
    for (const button of [find("cancel"), find("retry")]) swap(button, false);
  }

  // A page in the background asks nothing, and goes on where it was when it is seen again; what had failed may run again.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) close();
    else if (!isOver || !find("retry").hidden) open();
  });

  // --- what people may do ---

  async function change(action) {
    try {
      showProcess(await call("POST", `${path}/${action}/`));
      isOver = false;
      open(); // the stream has what else there is to tell: the note in the log, and the end or another run
    } catch (error) {
      if (error.status === 409) open(); // somebody was faster: the stream tells what has become of it
      throw error;
    }
  }

  find("cancel").addEventListener("click", () => act(find("cancel"), find("fault"), async () => {
    if (await confirm("Cancel this process? It can be retried later, from its beginning.", "Cancel the process")) await change("cancel");
  }));
  find("retry").addEventListener("click", () => act(find("retry"), find("fault"), () => change("retry")));

  const begun = log.textContent;
  log.replaceChildren();
  showLog(begun);
  if (!isOver) open();
})();
