# Asks one of the scripts to end. Its command line tells that the process is not somebody else's by now.
# sh -c 'eval "$TIELINE"' tieline PID
unset TIELINE
{ IFS= read -r line <"/proc/$1/cmdline"; } 2>/dev/null
case $line in *'eval "$TIELINE"'*) kill -TERM "$1" 2>/dev/null ;; esac
