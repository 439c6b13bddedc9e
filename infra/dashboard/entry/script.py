"""What Streamlit runs for every visitor: the pages of app.py.

In a folder of its own, because Streamlit makes a page of each file of a folder `pages` beside its script.
"""

from __future__ import annotations

from infra.dashboard.app import main

main()
