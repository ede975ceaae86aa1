"""The browser that the tests of a module share."""

from collections.abc import Iterator

import pytest

from tests.browser.session import Browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A window that all tests of the module use; each test opens its page itself."""
    browser = Browser(tmp_path_factory.mktemp("downloads"))
    yield browser
    browser.driver.quit()
