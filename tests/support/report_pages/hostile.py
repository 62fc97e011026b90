"""Names of classes, files and sets as nobody should choose them."""

HOSTILE = (
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "</title></style></table>",
    "{{ 7 * 7 }} {% raw %}",
    "a\x00\x1b[31m\r\n\u202eb\u2066\udcff",
    "javascript:alert(1)",
    "x" * 300,
    "&amp;&lt;",
    "蓝\u2215blue",
    " ",
)
"""Names of classes, files and sets as nobody should choose them."""
