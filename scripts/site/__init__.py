"""The documentation as a site: the Markdown files where they stand, and pages made from the code.

`sources` gives every document its page and rewrites the links between them, `contents` makes the navigation from
docs/index.md, `http_page`, `socket_page` and `sdk_page` write the references, `build` puts all into a folder and runs
Sphinx on it, whose configuration is docs/site/conf.py.
"""
