"use strict";
// Follows a process that has not ended: status and log once a second, until it has.
(() => {
  const PERIOD_MS = 1000;
  const LONGEST_WAIT_MS = 30000;
  const TIMEOUT_MS = 20000;
  const find = (id) => document.getElementById(id);
  const { prefix, id, identifier } = find("process").dataset;
  const isEnded = (status) => status === "created" || status === "failed";
  let wait = PERIOD_MS;
  let isLast = false;

  async function read(path) {
    const answer = await fetch(prefix + path, { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (!answer.ok) throw Object.assign(new Error("refused"), { status: answer.status });
    return answer.json();
  }

  function setText(element, text) {
    if (element.textContent !== text) element.textContent = text;
  }

  function showProcess(process) {
    const { done, total } = process.progress;
    const badge = find("status");
    setText(badge, process.status);
    badge.dataset.status = process.status;
    document.title = `${process.status}: ${identifier} · Sidereal`;
    const bar = find("bar");
    if (total) {
      bar.max = total;
      bar.value = done;
      setText(find("steps"), `${done} of ${total}`);
    } else if (isEnded(process.status)) {
      bar.parentElement.hidden = true;
    }
    const failure = find("failure");
    failure.hidden = !process.failure_message;
    setText(failure, process.failure_message || "");
    if (process.group_url) {
      find("group").href = prefix + process.group_url;
      find("zip").href = `${prefix}${process.group_url}zip`;
      setText(find("group"), process.group_name || "the files");
      find("outputs").hidden = false;
    }
    if (process.terminal_timestamp) {
      const text = new Date(process.terminal_timestamp * 1000).toISOString();
      setText(find("ended"), `${text.slice(0, 10)} ${text.slice(11, 19)} UTC`);
    }
  }

  function showLog(text) {
    const log = find("log");
    const shown = log.textContent;
    if (text === shown) return;
    const wasAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    // Only what is new is added, so that a selection in the log survives.
    if (text.startsWith(shown)) log.append(text.slice(shown.length));
    else log.textContent = text;
    if (find("cut")) find("cut").hidden = true;
    if (wasAtEnd) log.scrollTop = log.scrollHeight;
  }

  async function follow() {
    try {
      // The status first: a log read after the end is whole.
      const process = await read(`/api/pipeline/${id}/`);
      const { logs } = await read(`/api/pipeline/logs/${id}/`);
      showLog(logs);
      showProcess(process);
      wait = PERIOD_MS;
      setText(find("waiting"), "this page follows the process");
      if (isEnded(process.status)) {
        find("waiting").hidden = true;
        // Who cancels a process writes so in its log just after its end.
        if (isLast) return;
        isLast = true;
      }
    } catch (error) {
      if (error.status === 404) {
        setText(find("waiting"), "this process was deleted");
        return;
      }
      wait = Math.min(LONGEST_WAIT_MS, wait * 2);
      setText(find("waiting"), "no answer; asking again");
    }
    setTimeout(whenSeen, wait);
  }

  // A page in the background asks nothing.
  function whenSeen() {
    if (!document.hidden) follow();
    else document.addEventListener("visibilitychange", whenSeen, { once: true });
  }

  find("log").scrollTop = find("log").scrollHeight;
  setTimeout(whenSeen, PERIOD_MS);
})();
