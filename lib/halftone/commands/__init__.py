"""The command `halftone`: one sub-command for each job and for each look at a config.

`catalogue` describes the sub-commands: flags, examples, and what each needs. The module of the same
name as a sub-command does the work; it is imported when the sub-command is called. `main` is the
command line of `halftone`, and `script` that of a file in jobs/.
"""
