"""Everything together, as its users meet it: a running server, a browser, streams that are cut, the document of the API."""
