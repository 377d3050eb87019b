// A page opened as a file can't read the other pages: results then have no excerpts.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

// Code that is wider than its frame can be scrolled by key.
const letScroll = () => {
  for (const code of document.querySelectorAll("pre"))
    if (code.scrollWidth > code.clientWidth) code.tabIndex = 0;
    else code.removeAttribute("tabindex");
};
addEventListener("load", letScroll);
addEventListener("resize", letScroll);
addEventListener("toggle", letScroll, true);
