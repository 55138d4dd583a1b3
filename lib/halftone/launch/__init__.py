"""Launch the ranks of a training, monitor them, and restart them from the last checkpoint.

Every failure belongs to one of four categories:

============  ===============================  =================  ==================  =========
Category      Cause                            Exception          Restarted           Exit code
============  ===============================  =================  ==================  =========
input error   config, dataset or hosts do not  InputError         no                  2
              fit together
run error     a rank cannot go on, such as     RunError           no                  1
              after a loss that is not finite
lost rank     killed, crashed, hung, or ended  LostRankError      train.max_restarts  1
              by an unexpected exception                          times
stop request  SIGTERM or the file `stop`       StoppedError       no                  143
              Ctrl-C (SIGINT)                  KeyboardInterrupt  no                  130
============  ===============================  =================  ==================  =========

Across the process boundary a rank reports its failure as a message on its standard output: one
line that `rank_messages` writes and parses. The driver's `supervisor` reads these lines.

When all ranks have ended, `failure.find_root_cause` picks the failure to raise. A stop request goes
before reported errors, these before lost ranks, and an earlier failure before a later one. An error
of the collective library (Horovod, Gloo) comes last, because it usually follows from the loss of
another rank. `restarts` restarts the ranks after a loss, and `cli.run_with_exit_code` turns the
exception into the exit code.

With one rank and the launcher `process`, the training runs in the driver, and the exception needs
no message.
"""
