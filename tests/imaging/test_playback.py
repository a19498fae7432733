"""Films in a real browser: what Chromium shows of them is what was written."""

import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from chalicelib.imaging.colours import grey_palette
from chalicelib.imaging.film import open_film
from chalicelib.pipelines.base import Target
from chalicelib.pipelines.timelapse import TimelapseOptions, TimelapsePipeline
from local.frames import make_frames
from tests.factories_frames import LocalFile, RecordingReporter

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FRAMES = 12

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="films cannot be played without Chromium on this machine")

PLAY = """
async ([name, time]) => {
    const video = document.createElement('video');
    video.muted = true;
    // a blob can be sought in; this server does not answer requests for ranges
    video.src = URL.createObjectURL(await (await fetch(name)).blob());
    document.body.append(video);
    await new Promise((resolve, reject) => {
        video.onloadeddata = resolve;
        video.onerror = () => reject(new Error(video.error.message));
    });
    await video.play();
    video.pause();
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    const context = canvas.getContext('2d');
    const drawn = () => { context.drawImage(video, 0, 0); return context.getImageData(10, 20, 1, 1).data.join(); };
    const first = drawn();
    await new Promise(resolve => { video.onseeked = resolve; video.currentTime = time; });
    // the seek may have ended before its frame is there: what is drawn then is the one before, or nothing
    for (let tries = 0; tries < 100 && [first, '0,0,0,0'].includes(drawn()); tries++) {
        await new Promise(requestAnimationFrame);
    }
    const pixel = (x, y) => [...context.getImageData(x, y, 1, 1).data].slice(0, 3);
    return {
        ready: video.readyState, duration: video.duration, size: [video.videoWidth, video.videoHeight],
        left: pixel(10, 20), right: pixel(video.videoWidth - 10, 20),
    };
}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Serve a folder on the loopback interface; yield the folder and a page of a browser that looks at it."""
    from playwright.sync_api import sync_playwright

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            """Keep the tests' output free of requests."""

    folder = tmp_path_factory.mktemp("site")
    (folder / "index.html").write_text("<!doctype html><title>films</title>")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = browser.new_page()
            page.goto(f"http://127.0.0.1:{server.server_port}/")
            yield folder, page
            browser.close()
        server.shutdown()


@pytest.mark.parametrize("fps", [0.5, 10, 29.97])
@pytest.mark.parametrize("kind", ["mp4", "webm"])
def test_a_film_plays_in_chromium_with_its_size_its_duration_and_its_greys(site, kind, fps):
    folder, page = site
    name = f"{fps}.{kind}"
    with open_film(folder / name, kind, fps, grey_palette(128)) as film:
        for number in range(FRAMES):
            frame = np.full((47, 63), 8 * number, dtype=np.uint8)
            frame[:, 40:] = 127
            film.add(frame)
    shown = page.evaluate(PLAY, [name, 6.5 / fps])
    assert shown["ready"] >= 2
    assert shown["size"] == [64, 48]
    assert shown["duration"] == pytest.approx(FRAMES / fps, abs=1 / fps)
    assert shown["left"] == pytest.approx([round(8 * 6 * 255 / 127)] * 3, abs=4)
    assert shown["right"] == pytest.approx([255] * 3, abs=2)


@pytest.mark.parametrize("kind", ["mp4", "webm"])
def test_a_timelapse_with_every_flag_plays_in_chromium(site, kind, tmp_path):
    folder, page = site
    frames = make_frames(tmp_path / "frames", 5, 128, 4, star_count=60)
    options = TimelapseOptions(format=kind, fps=5, size=101, crop_scale=0.9)
    pipeline = TimelapsePipeline(
        Target(1, "M 42"), [LocalFile(path) for path in frames], RecordingReporter(), "tl_1", options
    )
    (output,) = pipeline.run(tmp_path, dict.fromkeys(TimelapsePipeline.flags, True))
    shutil.copy(output.path, folder / f"timelapse.{kind}")
    shown = page.evaluate(PLAY, [f"timelapse.{kind}", 0.5])
    assert shown["ready"] >= 2
    assert shown["size"] == [100, 100]
    assert shown["duration"] == pytest.approx(1, abs=0.2)


def test_a_gif_is_shown_by_chromium(site):
    folder, page = site
    with open_film(folder / "t.gif", "gif", 10, grey_palette(128)) as film:
        for level in (100, 20):
            film.add(np.full((47, 63), level, dtype=np.uint8))
    size = page.evaluate(
        "async () => { const image = new Image(); image.src = 't.gif'; await image.decode();"
        " return [image.naturalWidth, image.naturalHeight]; }"
    )
    assert size == [63, 47]
