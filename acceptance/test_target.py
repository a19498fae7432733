"""The page of a target: files are selected, faults told beside their fields, observations asked for and cancelled."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from acceptance.browsers import Faults
from acceptance.content import SEED, Content, make_target
from acceptance.server import Server
from acceptance.test_journeys import give_key
from local.frames import make_frames
from local.portal.example import example_fields
from local.uploads import upload_file

FRAME = re.compile(r"^Select .*\.fits\.fz$")


def test_files_are_selected_in_ranges_and_stay_so(page: Page, content: Content) -> None:
    page.goto(f"/targets/{content.target}/")
    boxes = page.get_by_role("checkbox", name=FRAME)
    told = page.locator("#selected")
    boxes.nth(1).check()
    boxes.nth(4).click(modifiers=["Shift"])
    expect(told).to_have_text("4 files selected")
    boxes.nth(3).click(modifiers=["Shift"])
    expect(told).to_have_text("2 files selected")
    boxes.nth(6).focus()
    page.keyboard.press("Space")
    boxes.nth(8).focus()
    page.keyboard.press("Shift+Space")
    expect(told).to_have_text("5 files selected")
    page.reload()
    expect(told).to_have_text("5 files selected")
    expect(boxes.nth(7)).to_be_checked()
    page.get_by_role("button", name="None").click()
    expect(told).to_have_text("No file is selected.")
    page.get_by_role("button", name="All FITS files on this page").click()
    expect(told).to_have_text(f"{len(content.products)} files selected")


def select_one_here_and_one_elsewhere(page: Page, target: int) -> None:
    """Select a file that the gallery shows, beside one that it does not show."""
    page.goto(f"/targets/{target}/")
    page.evaluate("(id) => sessionStorage.setItem(`sidereal selection  ${id}`, '[999999]')", target)
    page.reload()
    page.get_by_role("checkbox", name=FRAME).first.check()


def test_what_was_selected_on_another_page_counts(page: Page, content: Content) -> None:
    select_one_here_and_one_elsewhere(page, content.target)
    expect(page.locator("#selected")).to_have_text("2 files selected (1 of them on other pages)")


def test_a_file_that_was_deleted_is_selected_no_longer(
    page: Page, content: Content, server: Server, faults: Faults
) -> None:
    faults.expected.add(400)
    select_one_here_and_one_elsewhere(page, content.target)
    page.get_by_role("radio", name="The selected 2 files").check()
    page.get_by_role("button", name="Start").click()
    give_key(page, server.token)
    files = page.get_by_role("group", name="Files", exact=True)
    expect(files).to_have_accessible_description(
        "One selected file was deleted since; the selection is without it now."
    )
    expect(page.locator("#selected")).to_have_text("1 file selected")


def test_the_first_file_comes_and_can_be_selected(page: Page, server: Server, tmp_path: Path) -> None:
    client = server.client()
    target = make_target(client, "TrES-1")
    page.goto(f"/targets/{target}/")
    heading = page.locator("#products")
    expect(heading).to_have_text("Data products 0")
    (frame,) = make_frames(tmp_path, 1, 64, SEED, star_count=5, cadence_s=300)
    upload_file(client, frame, target)
    page.evaluate("document.dispatchEvent(new Event('stale'))")
    expect(heading).to_have_text("Data products 1")
    page.get_by_role("button", name="All on this page").click()
    expect(page.get_by_role("checkbox", name=FRAME)).to_be_checked()
    expect(page.locator("#selected")).to_have_text("1 file selected")


def test_what_is_wrong_with_an_option_is_told_beside_it(
    page: Page, content: Content, server: Server, faults: Faults
) -> None:
    faults.expected.add(400)
    page.goto(f"/targets/{content.target}/")
    form = page.locator("#pipeline-form")
    form.get_by_label("Pipeline").select_option("Photometry")
    part = form.locator("[data-pipeline=Photometry]")
    aperture, x, y = (part.get_by_label(name, exact=True) for name in ("aperture", "x", "y"))
    aperture.fill("500")
    x.fill("5")
    form.get_by_role("button", name="Start").click()
    expect(aperture).to_have_accessible_description(re.compile("less than or equal to 200"))
    expect(aperture).to_be_focused()
    aperture.fill("")
    form.get_by_role("button", name="Start").click()
    give_key(page, server.token)
    expect(y).to_have_accessible_description(re.compile("x and y belong together"))
    expect(y).to_be_focused()
    expect(aperture).not_to_have_attribute("aria-invalid", "true")


@pytest.fixture
def observed(server: Server) -> int:
    """A target of its own with a template, so that no frames come to that of the others."""
    client = server.client()
    target = make_target(client, "WASP-12")
    fields = example_fields(2)
    client.call(
        "POST",
        "/api/observationtemplates/",
        json={"name": "transit", "target": target, "facility": "LCO", "fields": fields},
    )
    return target


def test_an_observation_is_asked_for_and_cancelled(page: Page, observed: int, server: Server, faults: Faults) -> None:
    faults.expected.add(400)
    page.goto(f"/targets/{observed}/")
    form = page.locator("#observe-form")
    address, end = form.get_by_label("Your e-mail address"), form.get_by_label("Not after")
    address.fill("nobody")
    form.get_by_role("button", name="Ask for it").click()
    expect(address).to_be_focused()
    address.fill("somebody@example.org")
    form.get_by_label("Not before").fill("2020-01-01T00:00")
    end.fill("2020-01-02T00:00")
    form.get_by_role("button", name="Ask for it").click()
    expect(end).to_have_accessible_description(re.compile("must be in the future"))
    today = datetime.now(UTC)
    form.get_by_label("Not before").fill(f"{today + timedelta(hours=1):%Y-%m-%dT%H:%M}")
    end.fill(f"{today + timedelta(days=2):%Y-%m-%dT%H:%M}")
    form.get_by_role("button", name="Ask for it").click()
    expect(form.get_by_role("status")).to_have_text("It was asked for. somebody@example.org will be written to.")
    row = page.locator("#observation-list li").first
    row.get_by_role("button", name="Cancel").click()
    page.get_by_role("alertdialog").get_by_role("button", name="Cancel it").click()
    give_key(page, server.token)
    expect(row).to_contain_text("CANCELED")
    expect(row.get_by_role("button")).to_have_count(0)
