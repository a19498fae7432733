"""From a target to its film: what somebody with a browser and a key does, from the first page to the downloaded files."""

import re
import zipfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import BrowserContext, Page, expect

from acceptance.browsers import Faults
from acceptance.content import Content
from acceptance.server import Server

MARK = "window.isSameDocument = true"

PLAYED = """
(video) => new Promise((resolve, reject) => {
    video.onerror = () => reject(new Error(video.error.message));
    const look = () => video.currentTime > 0.2 && resolve([video.videoWidth, video.videoHeight]);
    video.addEventListener('timeupdate', look);
    look();
})
"""
SIZE_OF_PICTURE = "async (image) => { await image.decode(); return [image.naturalWidth, image.naturalHeight]; }"


def give_key(page: Page, key: str) -> None:
    """Answer the dialog that asks for a key."""
    dialog = page.get_by_role("dialog", name="Your API key")
    expect(dialog).to_be_visible()
    dialog.get_by_label("Key").fill(key)
    dialog.get_by_role("button", name="Use this key").click()
    expect(dialog).to_be_hidden()


def open_target(page: Page) -> None:
    """Go to the target of the content by the first page."""
    page.goto("/")
    page.get_by_role("link", name="HAT-P-32", exact=True).last.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("HAT-P-32")


def start_timelapse(page: Page, kind: str) -> None:
    """Start a timelapse of four selected frames with a flag and options, and come to the page of its process."""
    boxes = page.get_by_role("checkbox", name=re.compile(r"^Select .*\.fits\.fz$"))
    for number in range(4):
        boxes.nth(number).check()
    form = page.locator("#pipeline-form")
    expect(form.get_by_role("radio", name="The selected 4 files")).to_be_checked()
    form.get_by_label("Pipeline").select_option("Timelapse")
    part = form.locator("[data-pipeline=Timelapse]")
    part.locator("[data-flag=annotate]").check()
    part.locator("[data-option=format]").select_option(kind)
    part.locator("[data-option=size]").fill("96")
    part.locator("[data-option=fps]").fill("2")
    form.get_by_role("button", name="Start").click()


def test_a_timelapse_from_the_first_page_to_its_files(
    page: Page, content: Content, server: Server, tmp_path: Path
) -> None:
    open_target(page)
    start_timelapse(page, "mp4")
    give_key(page, server.token)
    page.wait_for_url("**/pipeline/*")
    page.evaluate(MARK)
    process = page.locator("#process")
    expect(process.get_by_role("status")).to_have_text("created", timeout=60_000)
    expect(page.locator("#waiting")).to_have_text("It has ended.")
    expect(page.locator("#log")).to_contain_text("4")
    expect(page.locator("#steps")).to_have_text(re.compile(r"^(\d+) of \1$"))
    expect(page.get_by_text("annotate", exact=True)).to_be_visible()

    film = page.locator("#outputs video")
    assert film.evaluate("async (video) => { await video.play(); }") is None
    assert film.evaluate(PLAYED) == [96, 96]
    assert page.evaluate("window.isSameDocument"), "the page was loaded again"

    page.locator("#group").click()
    page.wait_for_url("**/dataproducts/data/group/*/")
    expect(page.locator("video")).to_be_visible()
    with page.expect_download() as downloading:
        page.get_by_role("link", name="Download all as zip").click()
    archive = tmp_path / "files.zip"
    downloading.value.save_as(archive)
    with zipfile.ZipFile(archive) as files:
        assert [Path(name).suffix for name in files.namelist()] == [".mp4"]


def test_a_gif_is_shown_and_the_key_is_asked_for_once_in_a_session(
    new_context: Callable[..., BrowserContext], content: Content, server: Server
) -> None:
    context = new_context()
    page = context.new_page()
    open_target(page)
    start_timelapse(page, "gif")
    give_key(page, server.token)
    page.wait_for_url("**/pipeline/*")
    expect(page.locator("#process").get_by_role("status")).to_have_text("created", timeout=60_000)
    assert page.locator("#outputs img").first.evaluate(SIZE_OF_PICTURE) == [96, 96]

    open_target(page)
    page.locator("#pipeline-form").get_by_role("button", name="Start").click()
    page.wait_for_url("**/pipeline/*")  # nothing was asked
    assert context.cookies() == []

    stranger = new_context().new_page()
    open_target(stranger)
    stranger.locator("#pipeline-form").get_by_role("button", name="Start").click()
    expect(stranger.get_by_role("dialog", name="Your API key")).to_be_visible()


def test_a_wrong_key_is_told_and_asked_for_again(page: Page, content: Content, server: Server, faults: Faults) -> None:
    faults.expected.add(401)
    open_target(page)
    page.locator("#pipeline-form").get_by_role("button", name="Start").click()
    dialog = page.get_by_role("dialog", name="Your API key")
    dialog.get_by_label("Key").fill("not-the-key")
    dialog.get_by_role("button", name="Use this key").click()
    expect(dialog.get_by_role("alert")).to_have_text("The server does not know that key.")
    give_key(page, server.token)
    page.wait_for_url("**/pipeline/*")


def test_a_pipeline_is_started_with_the_keyboard_alone(page: Page, content: Content, server: Server) -> None:
    page.goto(f"/targets/{content.target}/")

    def tab_to(selector: str) -> None:
        for _ in range(120):
            page.keyboard.press("Tab")
            if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
                return
        raise AssertionError(f"the Tab key does not lead to {selector}")

    tab_to(".gallery input")
    page.keyboard.press("Space")
    tab_to("#pipeline")
    page.keyboard.type("Stepped")
    tab_to("[data-pipeline=Stepped] [data-flag=wordy]")
    page.keyboard.press("Space")
    tab_to("#pipeline-form button.primary")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Key", exact=True)).to_be_focused()
    page.keyboard.type(server.token)
    page.keyboard.press("Enter")
    page.wait_for_url("**/pipeline/*")
    expect(page.locator("#log")).to_contain_text("Step 5, with care")
