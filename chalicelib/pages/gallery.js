"use strict";
// Asks again for the thumbnails that were still being made when the page wanted them; also for those that come later.
(() => {
  const PENDING = "7x5"; // the size of the picture that the API sends instead
  const WAITS_MS = [1000, 2000, 3000, 5000, 8000, 13000, 21000, 34000, 55000];
  const known = new WeakMap(); // image -> its address and how often it was asked for again

  function look(image) {
    if (`${image.naturalWidth}x${image.naturalHeight}` !== PENDING) return;
    const asked = known.get(image) ?? { address: image.src, tries: 0 };
    known.set(image, asked);
    if (asked.tries >= WAITS_MS.length) return;
    // Another address each time: browsers keep what one address showed for as long as the page lasts.
    setTimeout(() => { image.src = `${asked.address}?try=${asked.tries}`; }, WAITS_MS[asked.tries++]);
  }

  const isThumbnail = (element) => element instanceof HTMLImageElement && "thumbnail" in element.dataset;
  // `load` does not bubble, but can be caught on its way down.
  document.addEventListener("load", (event) => { if (isThumbnail(event.target)) look(event.target); }, true);
  for (const image of document.images) if (isThumbnail(image) && image.complete) look(image);
})();
