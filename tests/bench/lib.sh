# shellcheck shell=bash
# What the parts of the benchmark share; sourced by them at the root of the repository. A part prints its rows with
# `figure`, takes what it needs from here, and leaves no process and no folder behind, however it ends.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
O=$(cd "${O:-build/release}" && pwd) || exit 1
seconds=${BENCH_SECONDS:-3} # of each measure that takes as long as it is told
work=$(mktemp -d "${TMPDIR:-/var/tmp}/drover-bench-XXXXXX") # on a disk, where files can be durable
export TMPDIR=$work
started=() # processes
trap cleanup EXIT
trap 'exit 1' INT TERM

# figure <name> <value> <unit> <aim> <value beside> <what that is> <conditions>: one row. Aim: "<= 5", ">= 1000" or "";
# beside: a floor or a peer in the same unit, measured in the same run; "" when there is none.
figure() { printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$@"; }

stop() { # stop [<pid>...]: all that were started when none is named
	local p
	for p in "${@:-${started[@]}}"; do
		[ -n "$p" ] || continue
		kill "$p" 2>/dev/null
		for _ in {1..100}; do
			kill -0 "$p" 2>/dev/null || break
			sleep 0.05
		done
		kill -9 "$p" 2>/dev/null
	done
}
records() { find "$work" -name '*.run' -exec awk -v kind="$1" '$1 == kind { print $2 }' {} + 2>/dev/null; } # of keepers
end_tasks() { records task | xargs -r kill -9 2>/dev/null; }
cleanup() {
	stop
	end_tasks
	sleep 0.2 # keepers end with their tasks
	rm -rf "$work"
}

free_port() { # outside of what the kernel gives out by itself
	local p
	while p=$((12000 + RANDOM % 18000)) && (exec 3<>"/dev/tcp/127.0.0.1/$p") 2>/dev/null; do :; done
	echo "$p"
}

# start_agent <folder> [<more configuration>]: one machine, server and client; sets agent, port and ready_us.
start_agent() {
	local dir=$work/$1
	mkdir -p "$dir"
	port=$(free_port)
	cat >"$dir/drover.conf" <<-EOF
		data_dir = "$dir/data"  bind_addr = "127.0.0.1"  log_level = "WARN"
		ports { http = $port }
		server { enabled = true  journal = "file" }
		client { enabled = true  gc_max_allocs = 100000 gc_interval="1s"  memory_total_mb = 4000000  cpu_total_compute = 4000000  disk_total_mb = 40000000 }
		plugin "raw_exec" { config { enabled = true } }
		limits { http_max_conns_per_client = 20000  http_max_connections = 20000 }
		${2:-}
	EOF
	read -r agent ready_us < <(DROVER_KEEPER=$O/drover-keeper "$O/bench-http" ready "$port" /v1/agent/health \
		"$O/drover" agent -config "$dir/drover.conf" 2>"$dir/log")
	[ -n "${agent:-}" ] || { cat "$dir/log" >&2; exit 1; }
	started+=("$agent")
	until curl -fs "http://127.0.0.1:$port/v1/nodes" | grep -q '"Status": *"ready"'; do sleep 0.02; done
}
# start_bare <arguments of bench-bare, without the port>: sets bare, bare_port, bare_us.
start_bare() {
	local kind=$1
	shift
	bare_port=$(free_port)
	read -r bare bare_us < <("$O/bench-http" ready "$bare_port" / "$O/bench-bare" "$kind" "$bare_port" "$@" 2>&2)
	[ -n "${bare:-}" ] || exit 1
	started+=("$bare")
}
api() { curl -fs -X "$1" "http://127.0.0.1:$port$2" ${3:+-d "$3"}; } # api <method> <path> [<body>]

rss_kb() { awk '/^VmRSS/ { print $2 }' "/proc/$1/status"; }
pss_kb() { # pss_kb <pid>...: their shares of what they hold, together
	local p
	for p; do cat "/proc/$p/smaps_rollup" 2>/dev/null; done | awk '/^Pss:/ { n += $2 } END { print n + 0 }'
}
cpu_us() { cat "/proc/$1/task/"*/schedstat | awk '{ n += $1 } END { printf "%d", n / 1000 }'; } # processor time so far

# What bench-http printed, by name.
n_of() { echo "${1%% *}"; }
rate_of() { echo "$1" | cut -d' ' -f3; }
ms_of() { echo "$1" | awk -v f="$2" '{ printf "%.2f", $(f == "p50" ? 4 : f == "p99" ? 5 : 6) / 1000 }'; }
calc() { awk "BEGIN { printf \"%.${2:-0}f\", $1 }"; } # calc <arithmetic> [<digits>]
