# Completion of aap for bash; written by python -m aap.cli.completion, not by hand.

_aap() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} path= i word value
    local -a place=()
    # bash takes "=" for a word of its own.
    if [[ $cur == "=" ]]; then
        cur=
    elif [[ $prev == "=" ]]; then
        prev=${COMP_WORDS[COMP_CWORD-2]}
    fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        case "$path:$word" in
            *:--attachment | *:--bundle | *:--cites | *:--config | *:--conversation | *:--dir | *:--id | *:--limit | *:--media | *:--older-than | *:--only | *:--output | *:--reason | *:--scope | *:--since | *:--skip | *:--state | *:--text | *:--timeout | *:--workspace | *:-w)
                [[ ${COMP_WORDS[i+1]} == "=" ]] && ((i++))
                value=${COMP_WORDS[++i]//[\"\'\\]/}
                case $word in
                    --config | --workspace | -w) place+=("$word" "${value/#\~\//$HOME/}") ;;
                esac ;;
            ":pause") path="pause" ;;
            ":resume") path="resume" ;;
            ":explain") path="explain" ;;
            ":reply") path="reply" ;;
            ":send") path="send" ;;
            ":logs") path="logs" ;;
            ":install") path="install" ;;
            ":uninstall") path="uninstall" ;;
            ":status") path="status" ;;
            ":doctor") path="doctor" ;;
            ":completion") path="completion" ;;
            ":inbox") path="inbox" ;;
            ":config") path="config" ;;
            ":workspace") path="workspace" ;;
            ":key") path="key" ;;
            ":openclaw") path="openclaw" ;;
            ":context") path="context" ;;
            ":skills") path="skills" ;;
            ":agent") path="agent" ;;
            "inbox:ls") path="inbox ls" ;;
            "inbox:show") path="inbox show" ;;
            "inbox:new") path="inbox new" ;;
            "inbox:wait") path="inbox wait" ;;
            "inbox:watch") path="inbox watch" ;;
            "inbox:stats") path="inbox stats" ;;
            "inbox:done") path="inbox done" ;;
            "inbox:add") path="inbox add" ;;
            "inbox:retry") path="inbox retry" ;;
            "inbox:hold") path="inbox hold" ;;
            "inbox:release") path="inbox release" ;;
            "inbox:rm") path="inbox rm" ;;
            "config:list") path="config list" ;;
            "config:get") path="config get" ;;
            "config:set") path="config set" ;;
            "config:unset") path="config unset" ;;
            "config:edit") path="config edit" ;;
            "config:explain") path="config explain" ;;
            "config:path") path="config path" ;;
            "config:validate") path="config validate" ;;
            "config:import") path="config import" ;;
            "workspace:ls") path="workspace ls" ;;
            "workspace:show") path="workspace show" ;;
            "workspace:add") path="workspace add" ;;
            "workspace:use") path="workspace use" ;;
            "workspace:rm") path="workspace rm" ;;
            "key:new") path="key new" ;;
            "key:ls") path="key ls" ;;
            "key:revoke") path="key revoke" ;;
            "openclaw:check") path="openclaw check" ;;
            "openclaw:setup") path="openclaw setup" ;;
            "context:append") path="context append" ;;
            "context:show") path="context show" ;;
            "context:check") path="context check" ;;
            "context:rewrite") path="context rewrite" ;;
            "context:stats") path="context stats" ;;
            "skills:ls") path="skills ls" ;;
            "skills:show") path="skills show" ;;
            "skills:install") path="skills install" ;;
            "agent:show") path="agent show" ;;
            "agent:init") path="agent init" ;;
            "agent:test") path="agent test" ;;
        esac
    done
    COMPREPLY=()
    case "$path:$prev" in
        *:--workspace | *:-w) if [[ $cur == */* ]]; then mapfile -t COMPREPLY < <(compgen -d -- "$cur"); compopt -o filenames; else COMPREPLY=($(compgen -W "$(aap "${place[@]}" workspace names 2>/dev/null)" -- "$cur")); fi; return ;;
        *:--config | *:--media | *:--bundle | *:--output) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); compopt -o filenames; return ;;
        *:--reason | *:--since | *:--older-than | *:--limit | *:--attachment | *:--timeout | *:--text | *:--cites) :; return ;;
        *:--id) mapfile -t COMPREPLY < <(aap "${place[@]}" inbox ids "$cur" 2>/dev/null); return ;;
        *:--conversation) COMPREPLY=($(compgen -W "$(aap "${place[@]}" inbox conversations 2>/dev/null)" -- "$cur")); return ;;
        *:--only | *:--skip) COMPREPLY=($(compgen -W "user.runtime user.bus user.linger config.parse config.secret config.keys config.units units.present units.enabled units.drift units.drop-ins units.version units.failed units.limit socket.listening socket.port socket.file socket.exposed socket.answers worker.path worker.workspace worker.oldest worker.orphans worker.run agent.found agent.login agent.outage agent.bypass sandbox.enforced sandbox.whole sandbox.settings spool.format spool.permissions spool.fsync spool.rename spool.lock spool.space spool.strays spool.leftovers spool.corrupt spool.failed journal.readable journal.persistent journal.complete clock.sane skills.current shell.current openclaw.settings" -- "$cur")); return ;;
        *:--state) COMPREPLY=($(compgen -W "inbox active deferred hold done failed" -- "$cur")); return ;;
        *:--scope) COMPREPLY=($(compgen -W "enqueue receipts admin" -- "$cur")); return ;;
        *:--dir) mapfile -t COMPREPLY < <(compgen -d -- "$cur"); compopt -o filenames; return ;;
    esac
    if [[ $cur == -* ]]; then
        case "$path" in
            "") COMPREPLY=($(compgen -W "--workspace -w --config --version -h --help" -- "$cur")) ;;
            "pause") COMPREPLY=($(compgen -W "--reason --now --json --workspace -w --config -h --help" -- "$cur")) ;;
            "resume") COMPREPLY=($(compgen -W "--json --workspace -w --config -h --help" -- "$cur")) ;;
            "explain") COMPREPLY=($(compgen -W "--json --workspace -w --config -h --help" -- "$cur")) ;;
            "reply") COMPREPLY=($(compgen -W "--media --reply-to --again --json --workspace -w --config -h --help" -- "$cur")) ;;
            "send") COMPREPLY=($(compgen -W "--stream --responses --json --workspace -w --config -h --help" -- "$cur")) ;;
            "logs") COMPREPLY=($(compgen -W "--today --since --follow -f --id --conversation --api --worker --agent --errors --json --workspace -w --config -h --help" -- "$cur")) ;;
            "install") COMPREPLY=($(compgen -W "--system --user --linger --no-linger --yes --json --workspace -w --config -h --help" -- "$cur")) ;;
            "uninstall") COMPREPLY=($(compgen -W "--system --user --purge --yes --json --config -h --help" -- "$cur")) ;;
            "status") COMPREPLY=($(compgen -W "--watch --json --workspace -w --config -h --help" -- "$cur")) ;;
            "doctor") COMPREPLY=($(compgen -W "--only --skip --fix --yes --dry-run --bundle --json --workspace -w --config -h --help" -- "$cur")) ;;
            "completion") COMPREPLY=($(compgen -W "-h --help" -- "$cur")) ;;
            "inbox") COMPREPLY=($(compgen -W "-h --help" -- "$cur")) ;;
            "inbox ls") COMPREPLY=($(compgen -W "--state --conversation --since --older-than --limit --group --all --json --workspace -w --config -h --help" -- "$cur")) ;;
            "inbox show") COMPREPLY=($(compgen -W "--raw --attachment --output --force --json --workspace -w --config -h --help" -- "$cur")) ;;
            "inbox new") COMPREPLY=($(compgen -W "--conversation --json --workspace -w --config -h --help" -- "$cur")) ;;
            "inbox wait") COMPREPLY=($(compgen -W "--timeout --state --conversation --json --workspace -w --config -h --help" -- "$cur")) ;;
            "inbox watch") COMPREPLY=($(compgen -W "--json --workspace -w --config -h --help" -- "$cur")) ;;
            "inbox stats") COMPREPLY=($(compgen -W "--since --json --workspace -w --config -h --help" -- "$cur")) ;;
            "inbox done") COMPREPLY=($(compgen -W "--all --state --workspace -w --config -h --help" -- "$cur")) ;;
            "inbox add") COMPREPLY=($(compgen -W "--text --workspace -w --config -h --help" -- "$cur")) ;;
            "inbox retry") COMPREPLY=($(compgen -W "--all --state --workspace -w --config -h --help" -- "$cur")) ;;
            "inbox hold") COMPREPLY=($(compgen -W "--all --state --workspace -w --config -h --help" -- "$cur")) ;;
            "inbox release") COMPREPLY=($(compgen -W "--all --state --workspace -w --config -h --help" -- "$cur")) ;;
            "inbox rm") COMPREPLY=($(compgen -W "--all --state --yes --workspace -w --config -h --help" -- "$cur")) ;;
            "config") COMPREPLY=($(compgen -W "-h --help" -- "$cur")) ;;
            "config list") COMPREPLY=($(compgen -W "--origin --json --workspace -w --config -h --help" -- "$cur")) ;;
            "config get") COMPREPLY=($(compgen -W "--json --workspace -w --config -h --help" -- "$cur")) ;;
            "config set") COMPREPLY=($(compgen -W "--apply --workspace -w --config -h --help" -- "$cur")) ;;
            "config unset") COMPREPLY=($(compgen -W "--apply --workspace -w --config -h --help" -- "$cur")) ;;
            "config edit") COMPREPLY=($(compgen -W "--apply --workspace -w --config -h --help" -- "$cur")) ;;
            "config explain") COMPREPLY=($(compgen -W "--json --workspace -w --config -h --help" -- "$cur")) ;;
            "config path") COMPREPLY=($(compgen -W "--json --workspace -w --config -h --help" -- "$cur")) ;;
            "config validate") COMPREPLY=($(compgen -W "--json --workspace -w --config -h --help" -- "$cur")) ;;
            "config import") COMPREPLY=($(compgen -W "--apply --json --config -h --help" -- "$cur")) ;;
            "workspace") COMPREPLY=($(compgen -W "-h --help" -- "$cur")) ;;
            "workspace ls") COMPREPLY=($(compgen -W "--json --workspace -w --config -h --help" -- "$cur")) ;;
            "workspace show") COMPREPLY=($(compgen -W "--json --workspace -w --config -h --help" -- "$cur")) ;;
            "workspace add") COMPREPLY=($(compgen -W "--json --config -h --help" -- "$cur")) ;;
            "workspace use") COMPREPLY=($(compgen -W "--config -h --help" -- "$cur")) ;;
            "workspace rm") COMPREPLY=($(compgen -W "--json -h --help" -- "$cur")) ;;
            "key") COMPREPLY=($(compgen -W "-h --help" -- "$cur")) ;;
            "key new") COMPREPLY=($(compgen -W "--scope --json -h --help" -- "$cur")) ;;
            "key ls") COMPREPLY=($(compgen -W "--json --config -h --help" -- "$cur")) ;;
            "key revoke") COMPREPLY=($(compgen -W "--config -h --help" -- "$cur")) ;;
            "openclaw") COMPREPLY=($(compgen -W "-h --help" -- "$cur")) ;;
            "openclaw check") COMPREPLY=($(compgen -W "--json --config -h --help" -- "$cur")) ;;
            "openclaw setup") COMPREPLY=($(compgen -W "--write --json --config -h --help" -- "$cur")) ;;
            "context") COMPREPLY=($(compgen -W "-h --help" -- "$cur")) ;;
            "context append") COMPREPLY=($(compgen -W "--cites --workspace -w --config -h --help" -- "$cur")) ;;
            "context show") COMPREPLY=($(compgen -W "--json --workspace -w --config -h --help" -- "$cur")) ;;
            "context check") COMPREPLY=($(compgen -W "--json --workspace -w --config -h --help" -- "$cur")) ;;
            "context rewrite") COMPREPLY=($(compgen -W "--workspace -w --config -h --help" -- "$cur")) ;;
            "context stats") COMPREPLY=($(compgen -W "--limit --json --workspace -w --config -h --help" -- "$cur")) ;;
            "skills") COMPREPLY=($(compgen -W "-h --help" -- "$cur")) ;;
            "skills ls") COMPREPLY=($(compgen -W "--json --workspace -w --config -h --help" -- "$cur")) ;;
            "skills show") COMPREPLY=($(compgen -W "--json -h --help" -- "$cur")) ;;
            "skills install") COMPREPLY=($(compgen -W "--dir --force --json --workspace -w --config -h --help" -- "$cur")) ;;
            "agent") COMPREPLY=($(compgen -W "-h --help" -- "$cur")) ;;
            "agent show") COMPREPLY=($(compgen -W "--json --workspace -w --config -h --help" -- "$cur")) ;;
            "agent init") COMPREPLY=($(compgen -W "--conversation --workspace -w --config -h --help" -- "$cur")) ;;
            "agent test") COMPREPLY=($(compgen -W "--here --json --workspace -w --config -h --help" -- "$cur")) ;;
        esac
        return
    fi
    case "$path" in
        "") COMPREPLY=($(compgen -W "pause resume explain reply send logs install uninstall status doctor completion inbox config workspace key openclaw context skills agent" -- "$cur")) ;;
        "explain") mapfile -t COMPREPLY < <(aap "${place[@]}" inbox ids "$cur" 2>/dev/null) ;;
        "reply") mapfile -t COMPREPLY < <(aap "${place[@]}" inbox ids "$cur" 2>/dev/null) ;;
        "send") : ;;
        "completion") COMPREPLY=($(compgen -W "bash zsh fish" -- "$cur")) ;;
        "inbox") COMPREPLY=($(compgen -W "ls show new wait watch stats done add retry hold release rm" -- "$cur")) ;;
        "inbox show") mapfile -t COMPREPLY < <(aap "${place[@]}" inbox ids "$cur" 2>/dev/null) ;;
        "inbox done") mapfile -t COMPREPLY < <(aap "${place[@]}" inbox ids "$cur" 2>/dev/null) ;;
        "inbox add") mapfile -t COMPREPLY < <(compgen -f -- "$cur"); compopt -o filenames ;;
        "inbox retry") mapfile -t COMPREPLY < <(aap "${place[@]}" inbox ids "$cur" 2>/dev/null) ;;
        "inbox hold") mapfile -t COMPREPLY < <(aap "${place[@]}" inbox ids "$cur" 2>/dev/null) ;;
        "inbox release") mapfile -t COMPREPLY < <(aap "${place[@]}" inbox ids "$cur" 2>/dev/null) ;;
        "inbox rm") mapfile -t COMPREPLY < <(aap "${place[@]}" inbox ids "$cur" 2>/dev/null) ;;
        "config") COMPREPLY=($(compgen -W "list get set unset edit explain path validate import" -- "$cur")) ;;
        "config get") COMPREPLY=($(compgen -W "HOST PORT WORKSPACE API_KEY A2A_KEY AGENT AGENT_INIT_CLI AGENT_CLI REPLY INTERNAL MAX_BODY HEADER_TIMEOUT BODY_TIMEOUT MAX_CONNECTIONS INBOX_MAX INBOX_MAX_BYTES MIN_FREE MIN_FREE_INODES IDLE_EXIT RUN_TIMEOUT STOP_GRACE MAX_ATTEMPTS RETRY_MIN RETRY_MAX BATCH_MAX BATCH SETTLE SESSION SESSION_MAX_AGE SESSION_MAX_RUNS DELIVERY DELIVERY_CMD DELIVERY_TIMEOUT FAILED_REPLY NOTIFY_CMD DONE_MAX_AGE DONE_MAX LOG_MAX_AGE LOG_MAX LOG_RUN_MAX" -- "$cur")) ;;
        "config set") COMPREPLY=($(compgen -W "HOST PORT WORKSPACE API_KEY A2A_KEY AGENT AGENT_INIT_CLI AGENT_CLI REPLY INTERNAL MAX_BODY HEADER_TIMEOUT BODY_TIMEOUT MAX_CONNECTIONS INBOX_MAX INBOX_MAX_BYTES MIN_FREE MIN_FREE_INODES IDLE_EXIT RUN_TIMEOUT STOP_GRACE MAX_ATTEMPTS RETRY_MIN RETRY_MAX BATCH_MAX BATCH SETTLE SESSION SESSION_MAX_AGE SESSION_MAX_RUNS DELIVERY DELIVERY_CMD DELIVERY_TIMEOUT FAILED_REPLY NOTIFY_CMD DONE_MAX_AGE DONE_MAX LOG_MAX_AGE LOG_MAX LOG_RUN_MAX" -- "$cur")) ;;
        "config unset") COMPREPLY=($(compgen -W "HOST PORT WORKSPACE API_KEY A2A_KEY AGENT AGENT_INIT_CLI AGENT_CLI REPLY INTERNAL MAX_BODY HEADER_TIMEOUT BODY_TIMEOUT MAX_CONNECTIONS INBOX_MAX INBOX_MAX_BYTES MIN_FREE MIN_FREE_INODES IDLE_EXIT RUN_TIMEOUT STOP_GRACE MAX_ATTEMPTS RETRY_MIN RETRY_MAX BATCH_MAX BATCH SETTLE SESSION SESSION_MAX_AGE SESSION_MAX_RUNS DELIVERY DELIVERY_CMD DELIVERY_TIMEOUT FAILED_REPLY NOTIFY_CMD DONE_MAX_AGE DONE_MAX LOG_MAX_AGE LOG_MAX LOG_RUN_MAX" -- "$cur")) ;;
        "config explain") COMPREPLY=($(compgen -W "HOST PORT WORKSPACE API_KEY A2A_KEY AGENT AGENT_INIT_CLI AGENT_CLI REPLY INTERNAL MAX_BODY HEADER_TIMEOUT BODY_TIMEOUT MAX_CONNECTIONS INBOX_MAX INBOX_MAX_BYTES MIN_FREE MIN_FREE_INODES IDLE_EXIT RUN_TIMEOUT STOP_GRACE MAX_ATTEMPTS RETRY_MIN RETRY_MAX BATCH_MAX BATCH SETTLE SESSION SESSION_MAX_AGE SESSION_MAX_RUNS DELIVERY DELIVERY_CMD DELIVERY_TIMEOUT FAILED_REPLY NOTIFY_CMD DONE_MAX_AGE DONE_MAX LOG_MAX_AGE LOG_MAX LOG_RUN_MAX" -- "$cur")) ;;
        "config import") mapfile -t COMPREPLY < <(compgen -f -- "$cur"); compopt -o filenames ;;
        "workspace") COMPREPLY=($(compgen -W "ls show add use rm" -- "$cur")) ;;
        "workspace show") COMPREPLY=($(compgen -W "$(aap "${place[@]}" workspace names 2>/dev/null)" -- "$cur")) ;;
        "workspace add") : ;;
        "workspace use") COMPREPLY=($(compgen -W "$(aap "${place[@]}" workspace names 2>/dev/null)" -- "$cur")) ;;
        "workspace rm") COMPREPLY=($(compgen -W "$(aap "${place[@]}" workspace names 2>/dev/null)" -- "$cur")) ;;
        "key") COMPREPLY=($(compgen -W "new ls revoke" -- "$cur")) ;;
        "key new") : ;;
        "key revoke") COMPREPLY=($(compgen -W "$(aap "${place[@]}" key names 2>/dev/null)" -- "$cur")) ;;
        "openclaw") COMPREPLY=($(compgen -W "check setup" -- "$cur")) ;;
        "context") COMPREPLY=($(compgen -W "append show check rewrite stats" -- "$cur")) ;;
        "context append") : ;;
        "context show") : ;;
        "context rewrite") mapfile -t COMPREPLY < <(compgen -f -- "$cur"); compopt -o filenames ;;
        "skills") COMPREPLY=($(compgen -W "ls show install" -- "$cur")) ;;
        "skills show") COMPREPLY=($(compgen -W "ai-agent-proxy context-cache openclaw-message" -- "$cur")) ;;
        "agent") COMPREPLY=($(compgen -W "show init test" -- "$cur")) ;;
    esac
}
complete -F _aap aap
