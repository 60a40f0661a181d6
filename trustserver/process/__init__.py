"""The operating system process: the lock against a second server, TLS files, logs, the process that helps it."""
