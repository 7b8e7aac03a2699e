"""A browser without a window, and what its pages asked for."""

import contextlib
import json
import shutil
import socket

import pytest

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
DRIVER = shutil.which("chromedriver")

SECONDS = 100
"""What a browser that does not answer any more is waited for."""

needs_browser = pytest.mark.skipif(
    BROWSER is None or DRIVER is None,
    reason="needs a browser: apt-get install chromium chromium-driver",
)


@contextlib.contextmanager
def start_browser(*flags):
    """Yield a browser that logs what its pages say and ask for."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", *flags):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    before = socket.getdefaulttimeout()
    # Selenium keeps this for all that it asks of the browser later, and has no limit without it.
    socket.setdefaulttimeout(SECONDS)
    try:
        driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    finally:
        socket.setdefaulttimeout(before)
    try:
        yield driver
    finally:
        driver.quit()


def clear_logs(browser):
    for kind in ("browser", "performance"):
        browser.get_log(kind)


def requests_of(browser):
    """Return the addresses that pages asked for since the logs were read."""
    asked = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [
        m["params"]["request"]["url"] for m in asked if m["method"] == "Network.requestWillBeSent"
    ]


def find(page, css):
    return page.find_element("css selector", css)
