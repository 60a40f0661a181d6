"""Reading collections as a TUF client: updater, remotes of both formats, caches, pins and memory combined."""
