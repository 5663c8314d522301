"""One module a page. The folder is not called `pages`: Streamlit would run every file in it as a page."""
