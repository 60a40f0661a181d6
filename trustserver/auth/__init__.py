"""Authorization: who sends a request and whether they may; registry tokens and the keys that sign them."""
