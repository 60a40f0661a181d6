"""Keys in hardware tokens, through their PKCS#11 libraries: URIs, tokens, logins, signatures.

One session per token and process, under one lock: the Python library starts modules without telling them that there are
threads (docs/adr/0098).
"""
