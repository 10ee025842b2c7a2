# Runs the server and watches its users, in the folder with the socket and the pipe.
#
#   watcher.sh STOP REMOVE SERVER...
#
# STOP is the signal that ends the server, REMOVE a folder to remove after its end, or empty, and SERVER its command line. Descriptor 3 is
# the read end of the pipe: its writers are the users of the server. The script stays until the server has ended, and keeps the pipe open
# until then, so that a process that finds nobody reading the pipe knows that nothing runs.

stop=$1 remove=$2
shift 2

"$@" 3<&- &
server=$!

# A line is the name of a file to make: the sign for a user that it was seen. The end of the file means that there is no user; the server
# then waits for one as many tenths of a second as the file "linger" says.
(
	idle=0
	while :; do
		if read -r user <&3; then
			: >"$user"
			idle=0
			continue
		fi
		limit=$(cat linger 3<&-)
		[ "$idle" -ge "${limit:-0}" ] && break
		idle=$((idle + 1))
		sleep 0.1 3<&-
	done
	kill -"$stop" "$server"
) &
users=$!
wait "$server"
status=$?
kill "$users" 2>/dev/null
[ -n "$remove" ] && rm -rf "$remove"
exit "$status"
