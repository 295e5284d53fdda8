"""What people and programs do with an installation, below the command line.

Operations take ports (a connection, the session store), return plain data and raise errors of the one hierarchy.
They neither print nor parse command lines. `documents` has the JSON form of what they return.
"""
