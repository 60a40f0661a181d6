"""What is kept: ports, the SQL store, sealed keys, migrations, the log of what was published."""
