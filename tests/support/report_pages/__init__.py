"""What the tests of pages share: checks of a page, and samples of what pages are made from."""
