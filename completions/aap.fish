# Completion of aap for fish; written by python -m aap.cli.completion, not by hand.

# True where the words so far, without options and their values, are exactly these,
# or these and more where the last argument is "+".
function __aap_at
    set -l path
    set -l skip 0
    for word in (commandline -opc)[2..]
        if test $skip = 1
            set skip 0
        else if contains -- $word --attachment --bundle --cites --config --conversation --dir --id --limit --media --older-than --only --output --reason --scope --since --skip --state --text --timeout --workspace -w
            set skip 1
        else if not string match -q -- '-*' $word
            set -a path $word
        end
    end
    if test "$argv[-1]" = +
        string match -q -- "$argv[1..-2] *" "$path "
    else
        test "$path" = "$argv"
    end
end

# What the line says of the workspace, for those that are asked.
function __aap_ask
    set -l place
    set -l words (commandline -opc)
    for i in (seq 2 (count $words))
        switch $words[$i]
            case '--config=*' '--workspace=*'
                set -a place $words[$i]
            case --config --workspace -w
                test $i -lt (count $words); or continue
                set -a place $words[$i] (string replace -r '^~/' "$HOME/" -- $words[(math $i + 1)])
        end
    end
    aap (string unescape -- $place) $argv 2>/dev/null
end

function __aap_checks
    printf '%s\t%s\n' \
        user.runtime 'without it no command finds the service manager that runs aap' \
        user.bus 'systemd runs every part of aap' \
        user.linger 'systemd ends all that a user runs when the last login ends' \
        config.parse 'with a line that cannot be understood, API and worker do not start' \
        config.secret 'who can read a key can use it' \
        config.keys 'the keys decide who may make the agent act' \
        config.units 'what you see here is not what runs' \
        units.present 'a missing unit is a part that nobody starts' \
        units.enabled 'after a reboot nobody would be there' \
        units.drift 'other units than these may lack what this version relies on' \
        units.drop-ins 'they count more than aap\'s own units' \
        units.version 'it is what the units start' \
        units.failed 'a unit in this state does not do its part' \
        units.limit 'systemd does not start it again by itself' \
        socket.listening 'every client is refused' \
        socket.port 'who goes by the settings reaches nobody' \
        socket.file 'local programs come in by this file, without a key' \
        socket.exposed 'whoever connects can make the agent act' \
        socket.answers 'clients get an error, and try again or give up' \
        worker.path 'messages are accepted, and nobody takes them' \
        worker.workspace 'what comes for that workspace waits for ever' \
        worker.oldest 'somebody waits for an answer' \
        worker.orphans 'they wait until they are brought back' \
        worker.run 'each failure costs its messages an attempt, and they have MAX_ATTEMPTS' \
        agent.found 'without it no message is handled' \
        agent.login 'each run would end in an outage' \
        agent.outage 'messages wait until it works again' \
        agent.bypass 'what a stranger writes could have it do anything you could do' \
        sandbox.enforced 'it keeps the agent from your keys and your service manager' \
        sandbox.whole 'it keeps the agent from your keys and your service manager' \
        sandbox.settings 'what they name, aap runs and obeys outside the sandbox' \
        spool.format 'an older aap would spoil what a newer one wrote' \
        spool.permissions 'messages are private, and must be there to be stored' \
        spool.fsync 'a 200 promises that the message is on the disk' \
        spool.rename 'each step of a message is one rename' \
        spool.lock 'it keeps a second worker out' \
        spool.space 'what cannot be stored is refused' \
        spool.strays 'nobody will ever handle them' \
        spool.leftovers 'they only take room' \
        spool.corrupt 'they go to failed/ when their turn comes' \
        spool.failed 'somebody got no answer' \
        journal.readable 'without it aap logs shows the worker\'s files alone' \
        journal.persistent 'what the API said before a reboot is gone' \
        journal.complete 'a trace may have holes' \
        clock.sane 'messages are ordered, retried and removed by it' \
        skills.current 'agents do what they read there' \
        shell.current 'man and the Tab key say what was true once' \
        openclaw.settings 'with others OpenClaw answers in the agent\'s place, or drops messages'
end

function __aap_settings
    printf '%s\t%s\n' \
        HOST 'Address the API listens on' \
        PORT 'TCP port the API listens on' \
        WORKSPACE 'Folder the agent works in; its messages are below .ai-agent-proxy/…' \
        API_KEY 'Key that clients send as Authorization: Bearer' \
        A2A_KEY 'Key that other agents send to POST /agent-inbox' \
        AGENT 'The agent\'s preset' \
        AGENT_INIT_CLI 'Command that opens a fresh session; the prompt is its last argument' \
        AGENT_CLI 'Command of each run; the prompt is its last argument' \
        REPLY 'What clients get at once: auto, empty, or a text of your own' \
        INTERNAL 'Requests of OpenClaw\'s own that wake the agent all the same, by commas' \
        MAX_BODY 'Largest request body' \
        HEADER_TIMEOUT 'Time a client has for its request\'s header' \
        BODY_TIMEOUT 'Time a client has for its request\'s body' \
        MAX_CONNECTIONS 'Connections at a time' \
        INBOX_MAX 'Messages waiting at most' \
        INBOX_MAX_BYTES 'Bytes waiting at most' \
        MIN_FREE 'Disk space that stays free' \
        MIN_FREE_INODES 'Inodes that stay free' \
        IDLE_EXIT 'Time without a request after which the API ends' \
        RUN_TIMEOUT 'Time one run of the agent may take' \
        STOP_GRACE 'Time the agent has to end after SIGTERM' \
        MAX_ATTEMPTS 'Failed runs that make a message fail' \
        RETRY_MIN 'Wait after a first failed run' \
        RETRY_MAX 'Longest wait between two attempts' \
        BATCH_MAX 'Messages given to one run at most' \
        BATCH 'What one run is given: messages of one conversation, or of all that…' \
        SETTLE 'Quiet time after which what was written counts as one piece' \
        SESSION 'Whose memory a session is: one of the workspace, or one of each…' \
        SESSION_MAX_AGE 'Age at which a session is replaced' \
        SESSION_MAX_RUNS 'Runs after which a session is replaced' \
        DELIVERY 'Way out of replies: OpenClaw, a command of your own, or none' \
        DELIVERY_CMD 'Program that sends a reply: text on stdin, AAP_CHANNEL and AAP_TARGET…' \
        DELIVERY_TIMEOUT 'Time each way of sending a reply may take' \
        FAILED_REPLY 'What the chat is told when its message was given up' \
        NOTIFY_CMD 'Program that is told of an outage, on stdin' \
        DONE_MAX_AGE 'Age at which a handled message is removed' \
        DONE_MAX 'Handled messages kept at most' \
        LOG_MAX_AGE 'Age at which a day\'s log is removed' \
        LOG_MAX 'Bytes of all logs that are kept; the oldest days go first' \
        LOG_RUN_MAX 'Bytes of one run\'s output that are logged'
end

function __aap_skills
    printf '%s\t%s\n' \
        ai-agent-proxy 'Handle chat messages that wait in an aap inbox' \
        context-cache 'Keep long-lived knowledge in aap\'s context cache, an append-only file…' \
        openclaw-message 'Send replies and messages outward to people on their chat channels…'
end

complete -c aap -f

complete -c aap -n '__aap_at' -a pause -d 'Give the agent nothing more; messages are accepted and wait'
complete -c aap -n '__aap_at' -a resume -d 'End a pause: what waits is handled at once'
complete -c aap -n '__aap_at' -a explain -d 'Say why a message, or the workspace, does not move, and what changes it'
complete -c aap -n '__aap_at' -a reply -d 'Answer a message in the chat it came from; the same text goes out once'
complete -c aap -n '__aap_at' -a send -d 'Post a message to the own API, as a client would'
complete -c aap -n '__aap_at' -a logs -d 'Show what the API, the worker and the agent did'
complete -c aap -n '__aap_at' -a install -d 'Put the systemd units in place, or bring them up to date'
complete -c aap -n '__aap_at' -a uninstall -d 'Stop aap and take its units away; messages stay'
complete -c aap -n '__aap_at' -a status -d 'Show on one screen whether messages are taken and handled'
complete -c aap -n '__aap_at' -a doctor -d 'Check everything that a message needs; name the command that mends it'
complete -c aap -n '__aap_at' -a completion -d 'Print the completion script for a shell; aap install puts it in place'
complete -c aap -n '__aap_at' -a inbox -d 'The queue: list, show and settle messages'
complete -c aap -n '__aap_at' -a config -d 'Settings, each with where it comes from'
complete -c aap -n '__aap_at' -a workspace -d 'Several workspaces, each with messages, agent and session of its own'
complete -c aap -n '__aap_at' -a key -d 'The keys of clients, each with a name; without any, this machine needs none'
complete -c aap -n '__aap_at' -a openclaw -d 'OpenClaw\'s own configuration: is it made for an inbox behind it?'
complete -c aap -n '__aap_at' -a context -d 'What the agent keeps between runs, in numbered blocks'
complete -c aap -n '__aap_at' -a skills -d 'What agents should know of aap, put where they look'
complete -c aap -n '__aap_at' -a agent -d 'The agent that answers: what runs, its sessions, whether it works'
complete -c aap -n '__aap_at' -l workspace -s w -x -a '(__aap_ask workspace names; __fish_complete_directories)' -d 'The workspace; what has a / is a path'
complete -c aap -n '__aap_at' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at' -l version -d 'Print the version'
complete -c aap -n '__aap_at' -s h -l help -d 'Show help'

complete -c aap -n '__aap_at pause +' -l reason -x -d 'Why; status and explain say it'
complete -c aap -n '__aap_at pause +' -l now -d 'Stop the agent in mid-run, too'
complete -c aap -n '__aap_at pause +' -l json -d 'Print JSON for programs'
complete -c aap -n '__aap_at pause +' -l workspace -s w -x -a '(__aap_ask workspace names; __fish_complete_directories)' -d 'The workspace; what has a / is a path'
complete -c aap -n '__aap_at pause +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at pause +' -s h -l help -d 'Show help'

complete -c aap -n '__aap_at resume +' -l json -d 'Print JSON for programs'
complete -c aap -n '__aap_at resume +' -l workspace -s w -x -a '(__aap_ask workspace names; __fish_complete_directories)' -d 'The workspace; what has a / is a path'
complete -c aap -n '__aap_at resume +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at resume +' -s h -l help -d 'Show help'

complete -c aap -n '__aap_at explain +' -l json -d 'Print JSON for programs'
complete -c aap -n '__aap_at explain +' -l workspace -s w -x -a '(__aap_ask workspace names; __fish_complete_directories)' -d 'The workspace; what has a / is a path'
complete -c aap -n '__aap_at explain +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at explain +' -s h -l help -d 'Show help'
complete -c aap -n '__aap_at explain +' -x -a '(__aap_ask inbox ids (commandline -ct))'

complete -c aap -n '__aap_at reply +' -l media -r -F -d 'Send a file with it'
complete -c aap -n '__aap_at reply +' -l reply-to -d 'Quote the message, where the channel can'
complete -c aap -n '__aap_at reply +' -l again -d 'Send it though the same went out before'
complete -c aap -n '__aap_at reply +' -l json -d 'Print JSON for programs'
complete -c aap -n '__aap_at reply +' -l workspace -s w -x -a '(__aap_ask workspace names; __fish_complete_directories)' -d 'The workspace; what has a / is a path'
complete -c aap -n '__aap_at reply +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at reply +' -s h -l help -d 'Show help'
complete -c aap -n '__aap_at reply +' -x -a '(__aap_ask inbox ids (commandline -ct))'

complete -c aap -n '__aap_at send +' -l stream -d 'Ask for a streamed answer'
complete -c aap -n '__aap_at send +' -l responses -d 'Use /v1/responses, not /v1/chat/completions'
complete -c aap -n '__aap_at send +' -l json -d 'Print JSON for programs'
complete -c aap -n '__aap_at send +' -l workspace -s w -x -a '(__aap_ask workspace names; __fish_complete_directories)' -d 'The workspace; what has a / is a path'
complete -c aap -n '__aap_at send +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at send +' -s h -l help -d 'Show help'
complete -c aap -n '__aap_at send +' -x

complete -c aap -n '__aap_at logs +' -l today -d 'Since midnight'
complete -c aap -n '__aap_at logs +' -l since -x -d 'Such as 90m, \'2 hours ago\', 2026-11-23'
complete -c aap -n '__aap_at logs +' -l follow -s f -d 'Go on as lines come'
complete -c aap -n '__aap_at logs +' -l id -x -a '(__aap_ask inbox ids (commandline -ct))' -d 'Only lines about this message'
complete -c aap -n '__aap_at logs +' -l conversation -x -a '(__aap_ask inbox conversations)' -d 'Only of this one: channel/account/chat'
complete -c aap -n '__aap_at logs +' -l api -d 'What the API said'
complete -c aap -n '__aap_at logs +' -l worker -d 'What the worker did'
complete -c aap -n '__aap_at logs +' -l agent -d 'What the agent printed'
complete -c aap -n '__aap_at logs +' -l errors -d 'Only warnings and errors'
complete -c aap -n '__aap_at logs +' -l json -d 'Print JSON for programs'
complete -c aap -n '__aap_at logs +' -l workspace -s w -x -a '(__aap_ask workspace names; __fish_complete_directories)' -d 'The workspace; what has a / is a path'
complete -c aap -n '__aap_at logs +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at logs +' -s h -l help -d 'Show help'

complete -c aap -n '__aap_at install +' -l system -d 'For the whole machine'
complete -c aap -n '__aap_at install +' -l user -d 'For you alone'
complete -c aap -n '__aap_at install +' -l linger -d 'Run also while you are not logged in'
complete -c aap -n '__aap_at install +' -l no-linger -d 'Stop when you log out, unless you linger already'
complete -c aap -n '__aap_at install +' -l yes -d 'Do not ask'
complete -c aap -n '__aap_at install +' -l json -d 'Print JSON for programs'
complete -c aap -n '__aap_at install +' -l workspace -s w -x -a '(__aap_ask workspace names; __fish_complete_directories)' -d 'The workspace; what has a / is a path'
complete -c aap -n '__aap_at install +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at install +' -s h -l help -d 'Show help'

complete -c aap -n '__aap_at uninstall +' -l system -d 'For the whole machine'
complete -c aap -n '__aap_at uninstall +' -l user -d 'For you alone'
complete -c aap -n '__aap_at uninstall +' -l purge -d 'Delete the messages too'
complete -c aap -n '__aap_at uninstall +' -l yes -d 'Do not ask'
complete -c aap -n '__aap_at uninstall +' -l json -d 'Print JSON for programs'
complete -c aap -n '__aap_at uninstall +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at uninstall +' -s h -l help -d 'Show help'

complete -c aap -n '__aap_at status +' -l watch -d 'Go on; with --json a line for each change'
complete -c aap -n '__aap_at status +' -l json -d 'Print JSON for programs'
complete -c aap -n '__aap_at status +' -l workspace -s w -x -a '(__aap_ask workspace names; __fish_complete_directories)' -d 'The workspace; what has a / is a path'
complete -c aap -n '__aap_at status +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at status +' -s h -l help -d 'Show help'

complete -c aap -n '__aap_at doctor +' -l only -x -a '(__aap_checks)' -d 'Only this check or group; may be repeated'
complete -c aap -n '__aap_at doctor +' -l skip -x -a '(__aap_checks)' -d 'Not this check or group; may be repeated'
complete -c aap -n '__aap_at doctor +' -l fix -d 'Run the cures that are safe'
complete -c aap -n '__aap_at doctor +' -l yes -d 'Do not ask'
complete -c aap -n '__aap_at doctor +' -l dry-run -d 'Show what --fix would run'
complete -c aap -n '__aap_at doctor +' -l bundle -r -F -d 'Write a report without anything private'
complete -c aap -n '__aap_at doctor +' -l json -d 'Print JSON for programs'
complete -c aap -n '__aap_at doctor +' -l workspace -s w -x -a '(__aap_ask workspace names; __fish_complete_directories)' -d 'The workspace; what has a / is a path'
complete -c aap -n '__aap_at doctor +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at doctor +' -s h -l help -d 'Show help'

complete -c aap -n '__aap_at completion +' -s h -l help -d 'Show help'
complete -c aap -n '__aap_at completion +' -x -a 'bash zsh fish'

complete -c aap -n '__aap_at inbox' -a ls -d 'List the messages that are not handled, oldest first'
complete -c aap -n '__aap_at inbox' -a show -d 'Show messages: who wrote, where, what, and what became of it'
complete -c aap -n '__aap_at inbox' -a new -d 'Print the ids that wait in inbox/, one a line; none is no error'
complete -c aap -n '__aap_at inbox' -a wait -d 'Wait until there is a message, and print its id; exit code 6 if none comes in'
complete -c aap -n '__aap_at inbox' -a watch -d 'Show what becomes of messages, as it happens, until Ctrl-C'
complete -c aap -n '__aap_at inbox' -a stats -d 'Show how many came, how long they waited and what failed, over time'
complete -c aap -n '__aap_at inbox' -a done -d 'Mark messages as handled'
complete -c aap -n '__aap_at inbox' -a add -d 'Put a message into the inbox without the API; print its id'
complete -c aap -n '__aap_at inbox' -a retry -d 'Let failed, deferred or held messages be handled again, now'
complete -c aap -n '__aap_at inbox' -a hold -d 'Put waiting messages aside until they are released'
complete -c aap -n '__aap_at inbox' -a release -d 'Let held or deferred messages be handled now'
complete -c aap -n '__aap_at inbox' -a rm -d 'Delete messages for good'
complete -c aap -n '__aap_at inbox' -s h -l help -d 'Show help'

complete -c aap -n '__aap_at inbox ls +' -l state -x -a 'inbox active deferred hold done failed' -d 'Only this state; may be repeated'
complete -c aap -n '__aap_at inbox ls +' -l conversation -x -a '(__aap_ask inbox conversations)' -d 'Only of this one: channel/account/chat'
complete -c aap -n '__aap_at inbox ls +' -l since -x -d 'That came since 2h, yesterday…'
complete -c aap -n '__aap_at inbox ls +' -l older-than -x -d 'That came before 2h, 3d…'
complete -c aap -n '__aap_at inbox ls +' -l limit -x -d 'At most so many; 0 for all'
complete -c aap -n '__aap_at inbox ls +' -l group -d 'Put together by conversation'
complete -c aap -n '__aap_at inbox ls +' -l all -d 'Handled ones too'
complete -c aap -n '__aap_at inbox ls +' -l json -d 'Print JSON for programs'
complete -c aap -n '__aap_at inbox ls +' -l workspace -s w -x -a '(__aap_ask workspace names; __fish_complete_directories)' -d 'The workspace; what has a / is a path'
complete -c aap -n '__aap_at inbox ls +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at inbox ls +' -s h -l help -d 'Show help'

complete -c aap -n '__aap_at inbox show +' -l raw -d 'The request, byte for byte'
complete -c aap -n '__aap_at inbox show +' -l attachment -x -d 'Write the N-th attachment'
complete -c aap -n '__aap_at inbox show +' -l output -r -F -d 'Where to; - for stdout'
complete -c aap -n '__aap_at inbox show +' -l force -d 'Write over FILE'
complete -c aap -n '__aap_at inbox show +' -l json -d 'Print JSON for programs'
complete -c aap -n '__aap_at inbox show +' -l workspace -s w -x -a '(__aap_ask workspace names; __fish_complete_directories)' -d 'The workspace; what has a / is a path'
complete -c aap -n '__aap_at inbox show +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at inbox show +' -s h -l help -d 'Show help'
complete -c aap -n '__aap_at inbox show +' -x -a '(__aap_ask inbox ids (commandline -ct))'

complete -c aap -n '__aap_at inbox new +' -l conversation -x -a '(__aap_ask inbox conversations)' -d 'Only of this one: channel/account/chat'
complete -c aap -n '__aap_at inbox new +' -l json -d 'Print JSON for programs'
complete -c aap -n '__aap_at inbox new +' -l workspace -s w -x -a '(__aap_ask workspace names; __fish_complete_directories)' -d 'The workspace; what has a / is a path'
complete -c aap -n '__aap_at inbox new +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at inbox new +' -s h -l help -d 'Show help'

complete -c aap -n '__aap_at inbox wait +' -l timeout -x -d 'At most 30s, 5m, 2h'
complete -c aap -n '__aap_at inbox wait +' -l state -x -a 'inbox active deferred hold done failed' -d 'Only this state; may be repeated'
complete -c aap -n '__aap_at inbox wait +' -l conversation -x -a '(__aap_ask inbox conversations)' -d 'Only of this one: channel/account/chat'
complete -c aap -n '__aap_at inbox wait +' -l json -d 'Print JSON for programs'
complete -c aap -n '__aap_at inbox wait +' -l workspace -s w -x -a '(__aap_ask workspace names; __fish_complete_directories)' -d 'The workspace; what has a / is a path'
complete -c aap -n '__aap_at inbox wait +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at inbox wait +' -s h -l help -d 'Show help'

complete -c aap -n '__aap_at inbox watch +' -l json -d 'Print JSON for programs'
complete -c aap -n '__aap_at inbox watch +' -l workspace -s w -x -a '(__aap_ask workspace names; __fish_complete_directories)' -d 'The workspace; what has a / is a path'
complete -c aap -n '__aap_at inbox watch +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at inbox watch +' -s h -l help -d 'Show help'

complete -c aap -n '__aap_at inbox stats +' -l since -x -d 'Not of a day: of 2h, 30d…'
complete -c aap -n '__aap_at inbox stats +' -l json -d 'Print JSON for programs'
complete -c aap -n '__aap_at inbox stats +' -l workspace -s w -x -a '(__aap_ask workspace names; __fish_complete_directories)' -d 'The workspace; what has a / is a path'
complete -c aap -n '__aap_at inbox stats +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at inbox stats +' -s h -l help -d 'Show help'

complete -c aap -n '__aap_at inbox done +' -l all -d 'Not single ids, but all of a --state'
complete -c aap -n '__aap_at inbox done +' -l state -x -a 'inbox active deferred hold done failed' -d 'Only this state; may be repeated'
complete -c aap -n '__aap_at inbox done +' -l workspace -s w -x -a '(__aap_ask workspace names; __fish_complete_directories)' -d 'The workspace; what has a / is a path'
complete -c aap -n '__aap_at inbox done +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at inbox done +' -s h -l help -d 'Show help'
complete -c aap -n '__aap_at inbox done +' -x -a '(__aap_ask inbox ids (commandline -ct))'

complete -c aap -n '__aap_at inbox add +' -l text -x -d 'Plain words instead of a file'
complete -c aap -n '__aap_at inbox add +' -l workspace -s w -x -a '(__aap_ask workspace names; __fish_complete_directories)' -d 'The workspace; what has a / is a path'
complete -c aap -n '__aap_at inbox add +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at inbox add +' -s h -l help -d 'Show help'
complete -c aap -n '__aap_at inbox add +' -r -F

complete -c aap -n '__aap_at inbox retry +' -l all -d 'Not single ids, but all of a --state'
complete -c aap -n '__aap_at inbox retry +' -l state -x -a 'inbox active deferred hold done failed' -d 'Only this state; may be repeated'
complete -c aap -n '__aap_at inbox retry +' -l workspace -s w -x -a '(__aap_ask workspace names; __fish_complete_directories)' -d 'The workspace; what has a / is a path'
complete -c aap -n '__aap_at inbox retry +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at inbox retry +' -s h -l help -d 'Show help'
complete -c aap -n '__aap_at inbox retry +' -x -a '(__aap_ask inbox ids (commandline -ct))'

complete -c aap -n '__aap_at inbox hold +' -l all -d 'Not single ids, but all of a --state'
complete -c aap -n '__aap_at inbox hold +' -l state -x -a 'inbox active deferred hold done failed' -d 'Only this state; may be repeated'
complete -c aap -n '__aap_at inbox hold +' -l workspace -s w -x -a '(__aap_ask workspace names; __fish_complete_directories)' -d 'The workspace; what has a / is a path'
complete -c aap -n '__aap_at inbox hold +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at inbox hold +' -s h -l help -d 'Show help'
complete -c aap -n '__aap_at inbox hold +' -x -a '(__aap_ask inbox ids (commandline -ct))'

complete -c aap -n '__aap_at inbox release +' -l all -d 'Not single ids, but all of a --state'
complete -c aap -n '__aap_at inbox release +' -l state -x -a 'inbox active deferred hold done failed' -d 'Only this state; may be repeated'
complete -c aap -n '__aap_at inbox release +' -l workspace -s w -x -a '(__aap_ask workspace names; __fish_complete_directories)' -d 'The workspace; what has a / is a path'
complete -c aap -n '__aap_at inbox release +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at inbox release +' -s h -l help -d 'Show help'
complete -c aap -n '__aap_at inbox release +' -x -a '(__aap_ask inbox ids (commandline -ct))'

complete -c aap -n '__aap_at inbox rm +' -l all -d 'Not single ids, but all of a --state'
complete -c aap -n '__aap_at inbox rm +' -l state -x -a 'inbox active deferred hold done failed' -d 'Only this state; may be repeated'
complete -c aap -n '__aap_at inbox rm +' -l yes -d 'Do not ask'
complete -c aap -n '__aap_at inbox rm +' -l workspace -s w -x -a '(__aap_ask workspace names; __fish_complete_directories)' -d 'The workspace; what has a / is a path'
complete -c aap -n '__aap_at inbox rm +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at inbox rm +' -s h -l help -d 'Show help'
complete -c aap -n '__aap_at inbox rm +' -x -a '(__aap_ask inbox ids (commandline -ct))'

complete -c aap -n '__aap_at config' -a list -d 'List all settings, their values, and where each comes from'
complete -c aap -n '__aap_at config' -a get -d 'Print the value of one setting'
complete -c aap -n '__aap_at config' -a set -d 'Set one setting, in your file or with -w in the workspace\'s'
complete -c aap -n '__aap_at config' -a unset -d 'Take one setting out of your file, or of the workspace\'s'
complete -c aap -n '__aap_at config' -a edit -d 'Change your file, or with -w the workspace\'s, in an editor'
complete -c aap -n '__aap_at config' -a explain -d 'Say what a setting is and takes, and when a change counts'
complete -c aap -n '__aap_at config' -a path -d 'Print the path of your file'
complete -c aap -n '__aap_at config' -a validate -d 'Say what is wrong or doubtful in the configuration, line by line'
complete -c aap -n '__aap_at config' -a import -d 'Take over the settings of an ai-agent-proxy file'
complete -c aap -n '__aap_at config' -s h -l help -d 'Show help'

complete -c aap -n '__aap_at config list +' -l origin -d 'Show the file and the line of each'
complete -c aap -n '__aap_at config list +' -l json -d 'Print JSON for programs'
complete -c aap -n '__aap_at config list +' -l workspace -s w -x -a '(__aap_ask workspace names; __fish_complete_directories)' -d 'The workspace; what has a / is a path'
complete -c aap -n '__aap_at config list +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at config list +' -s h -l help -d 'Show help'

complete -c aap -n '__aap_at config get +' -l json -d 'Print JSON for programs'
complete -c aap -n '__aap_at config get +' -l workspace -s w -x -a '(__aap_ask workspace names; __fish_complete_directories)' -d 'The workspace; what has a / is a path'
complete -c aap -n '__aap_at config get +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at config get +' -s h -l help -d 'Show help'
complete -c aap -n '__aap_at config get +' -x -a '(__aap_settings)'

complete -c aap -n '__aap_at config set +' -l apply -d 'Start again what must be, so that it counts now'
complete -c aap -n '__aap_at config set +' -l workspace -s w -x -a '(__aap_ask workspace names; __fish_complete_directories)' -d 'The workspace; what has a / is a path'
complete -c aap -n '__aap_at config set +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at config set +' -s h -l help -d 'Show help'
complete -c aap -n '__aap_at config set +' -x -a '(__aap_settings)'

complete -c aap -n '__aap_at config unset +' -l apply -d 'Start again what must be, so that it counts now'
complete -c aap -n '__aap_at config unset +' -l workspace -s w -x -a '(__aap_ask workspace names; __fish_complete_directories)' -d 'The workspace; what has a / is a path'
complete -c aap -n '__aap_at config unset +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at config unset +' -s h -l help -d 'Show help'
complete -c aap -n '__aap_at config unset +' -x -a '(__aap_settings)'

complete -c aap -n '__aap_at config edit +' -l apply -d 'Start again what must be, so that it counts now'
complete -c aap -n '__aap_at config edit +' -l workspace -s w -x -a '(__aap_ask workspace names; __fish_complete_directories)' -d 'The workspace; what has a / is a path'
complete -c aap -n '__aap_at config edit +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at config edit +' -s h -l help -d 'Show help'

complete -c aap -n '__aap_at config explain +' -l json -d 'Print JSON for programs'
complete -c aap -n '__aap_at config explain +' -l workspace -s w -x -a '(__aap_ask workspace names; __fish_complete_directories)' -d 'The workspace; what has a / is a path'
complete -c aap -n '__aap_at config explain +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at config explain +' -s h -l help -d 'Show help'
complete -c aap -n '__aap_at config explain +' -x -a '(__aap_settings)'

complete -c aap -n '__aap_at config path +' -l json -d 'Print JSON for programs'
complete -c aap -n '__aap_at config path +' -l workspace -s w -x -a '(__aap_ask workspace names; __fish_complete_directories)' -d 'The workspace; what has a / is a path'
complete -c aap -n '__aap_at config path +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at config path +' -s h -l help -d 'Show help'

complete -c aap -n '__aap_at config validate +' -l json -d 'Print JSON for programs'
complete -c aap -n '__aap_at config validate +' -l workspace -s w -x -a '(__aap_ask workspace names; __fish_complete_directories)' -d 'The workspace; what has a / is a path'
complete -c aap -n '__aap_at config validate +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at config validate +' -s h -l help -d 'Show help'

complete -c aap -n '__aap_at config import +' -l apply -d 'Start again what must be, so that it counts now'
complete -c aap -n '__aap_at config import +' -l json -d 'Print JSON for programs'
complete -c aap -n '__aap_at config import +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at config import +' -s h -l help -d 'Show help'
complete -c aap -n '__aap_at config import +' -r -F

complete -c aap -n '__aap_at workspace' -a ls -d 'List the workspaces; a * stands before the default one'
complete -c aap -n '__aap_at workspace' -a show -d 'Show a workspace: path, model, units, agent, messages'
complete -c aap -n '__aap_at workspace' -a add -d 'Give a folder a name, and have its inbox watched'
complete -c aap -n '__aap_at workspace' -a use -d 'Make a workspace the one that is meant where none is named'
complete -c aap -n '__aap_at workspace' -a rm -d 'Watch a workspace no longer; its messages stay'
complete -c aap -n '__aap_at workspace' -s h -l help -d 'Show help'

complete -c aap -n '__aap_at workspace ls +' -l json -d 'Print JSON for programs'
complete -c aap -n '__aap_at workspace ls +' -l workspace -s w -x -a '(__aap_ask workspace names; __fish_complete_directories)' -d 'The workspace; what has a / is a path'
complete -c aap -n '__aap_at workspace ls +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at workspace ls +' -s h -l help -d 'Show help'

complete -c aap -n '__aap_at workspace show +' -l json -d 'Print JSON for programs'
complete -c aap -n '__aap_at workspace show +' -l workspace -s w -x -a '(__aap_ask workspace names; __fish_complete_directories)' -d 'The workspace; what has a / is a path'
complete -c aap -n '__aap_at workspace show +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at workspace show +' -s h -l help -d 'Show help'
complete -c aap -n '__aap_at workspace show +' -x -a '(__aap_ask workspace names)'

complete -c aap -n '__aap_at workspace add +' -l json -d 'Print JSON for programs'
complete -c aap -n '__aap_at workspace add +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at workspace add +' -s h -l help -d 'Show help'
complete -c aap -n '__aap_at workspace add +' -x

complete -c aap -n '__aap_at workspace use +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at workspace use +' -s h -l help -d 'Show help'
complete -c aap -n '__aap_at workspace use +' -x -a '(__aap_ask workspace names)'

complete -c aap -n '__aap_at workspace rm +' -l json -d 'Print JSON for programs'
complete -c aap -n '__aap_at workspace rm +' -s h -l help -d 'Show help'
complete -c aap -n '__aap_at workspace rm +' -x -a '(__aap_ask workspace names)'

complete -c aap -n '__aap_at key' -a new -d 'Make a key for a client and print it, this once'
complete -c aap -n '__aap_at key' -a ls -d 'List the names of all keys, and what they may do'
complete -c aap -n '__aap_at key' -a revoke -d 'Take a key away: who has it gets in no longer'
complete -c aap -n '__aap_at key' -s h -l help -d 'Show help'

complete -c aap -n '__aap_at key new +' -l scope -x -a 'enqueue receipts admin' -d 'What it may do: enqueue, receipts, admin'
complete -c aap -n '__aap_at key new +' -l json -d 'Print JSON for programs'
complete -c aap -n '__aap_at key new +' -s h -l help -d 'Show help'
complete -c aap -n '__aap_at key new +' -x

complete -c aap -n '__aap_at key ls +' -l json -d 'Print JSON for programs'
complete -c aap -n '__aap_at key ls +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at key ls +' -s h -l help -d 'Show help'

complete -c aap -n '__aap_at key revoke +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at key revoke +' -s h -l help -d 'Show help'
complete -c aap -n '__aap_at key revoke +' -x -a '(__aap_ask key names)'

complete -c aap -n '__aap_at openclaw' -a check -d 'Say setting by setting whether OpenClaw suits an inbox behind it, and why'
complete -c aap -n '__aap_at openclaw' -a setup -d 'Show what should be changed in OpenClaw\'s configuration, or change it'
complete -c aap -n '__aap_at openclaw' -s h -l help -d 'Show help'

complete -c aap -n '__aap_at openclaw check +' -l json -d 'Print JSON for programs'
complete -c aap -n '__aap_at openclaw check +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at openclaw check +' -s h -l help -d 'Show help'

complete -c aap -n '__aap_at openclaw setup +' -l write -d 'Change the file; a backup stays beside it'
complete -c aap -n '__aap_at openclaw setup +' -l json -d 'Print JSON for programs'
complete -c aap -n '__aap_at openclaw setup +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at openclaw setup +' -s h -l help -d 'Show help'

complete -c aap -n '__aap_at context' -a append -d 'Append a block with the next id, and print that id'
complete -c aap -n '__aap_at context' -a show -d 'Print the context cache, or some of its blocks'
complete -c aap -n '__aap_at context' -a check -d 'Find lost, doubled and misplaced blocks, and citations that lead nowhere'
complete -c aap -n '__aap_at context' -a rewrite -d 'Replace the context cache by a file; print where the old one is kept'
complete -c aap -n '__aap_at context' -a stats -d 'Draw how much of each run\'s input came from the provider\'s cache'
complete -c aap -n '__aap_at context' -s h -l help -d 'Show help'

complete -c aap -n '__aap_at context append +' -l cites -x -d 'Earlier blocks, as in 001,003'
complete -c aap -n '__aap_at context append +' -l workspace -s w -x -a '(__aap_ask workspace names; __fish_complete_directories)' -d 'The workspace; what has a / is a path'
complete -c aap -n '__aap_at context append +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at context append +' -s h -l help -d 'Show help'
complete -c aap -n '__aap_at context append +' -x

complete -c aap -n '__aap_at context show +' -l json -d 'Print JSON for programs'
complete -c aap -n '__aap_at context show +' -l workspace -s w -x -a '(__aap_ask workspace names; __fish_complete_directories)' -d 'The workspace; what has a / is a path'
complete -c aap -n '__aap_at context show +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at context show +' -s h -l help -d 'Show help'
complete -c aap -n '__aap_at context show +' -x

complete -c aap -n '__aap_at context check +' -l json -d 'Print JSON for programs'
complete -c aap -n '__aap_at context check +' -l workspace -s w -x -a '(__aap_ask workspace names; __fish_complete_directories)' -d 'The workspace; what has a / is a path'
complete -c aap -n '__aap_at context check +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at context check +' -s h -l help -d 'Show help'

complete -c aap -n '__aap_at context rewrite +' -l workspace -s w -x -a '(__aap_ask workspace names; __fish_complete_directories)' -d 'The workspace; what has a / is a path'
complete -c aap -n '__aap_at context rewrite +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at context rewrite +' -s h -l help -d 'Show help'
complete -c aap -n '__aap_at context rewrite +' -r -F

complete -c aap -n '__aap_at context stats +' -l limit -x -d 'Only the last N runs; 0 for all'
complete -c aap -n '__aap_at context stats +' -l json -d 'Print JSON for programs'
complete -c aap -n '__aap_at context stats +' -l workspace -s w -x -a '(__aap_ask workspace names; __fish_complete_directories)' -d 'The workspace; what has a / is a path'
complete -c aap -n '__aap_at context stats +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at context stats +' -s h -l help -d 'Show help'

complete -c aap -n '__aap_at skills' -a ls -d 'List the skills, and how the workspace\'s copies stand'
complete -c aap -n '__aap_at skills' -a show -d 'Print a skill'
complete -c aap -n '__aap_at skills' -a install -d 'Put the skills where agents look, or bring them up to date'
complete -c aap -n '__aap_at skills' -s h -l help -d 'Show help'

complete -c aap -n '__aap_at skills ls +' -l json -d 'Print JSON for programs'
complete -c aap -n '__aap_at skills ls +' -l workspace -s w -x -a '(__aap_ask workspace names; __fish_complete_directories)' -d 'The workspace; what has a / is a path'
complete -c aap -n '__aap_at skills ls +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at skills ls +' -s h -l help -d 'Show help'

complete -c aap -n '__aap_at skills show +' -l json -d 'Print JSON for programs'
complete -c aap -n '__aap_at skills show +' -s h -l help -d 'Show help'
complete -c aap -n '__aap_at skills show +' -x -a '(__aap_skills)'

complete -c aap -n '__aap_at skills install +' -l dir -x -a '(__fish_complete_directories)' -d 'Into FOLDER, not into the workspace'
complete -c aap -n '__aap_at skills install +' -l force -d 'Replace what was changed; keep a backup'
complete -c aap -n '__aap_at skills install +' -l json -d 'Print JSON for programs'
complete -c aap -n '__aap_at skills install +' -l workspace -s w -x -a '(__aap_ask workspace names; __fish_complete_directories)' -d 'The workspace; what has a / is a path'
complete -c aap -n '__aap_at skills install +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at skills install +' -s h -l help -d 'Show help'

complete -c aap -n '__aap_at agent' -a show -d 'Show what would run, and the sessions there are'
complete -c aap -n '__aap_at agent' -a init -d 'Have the next run start a new session'
complete -c aap -n '__aap_at agent' -a test -d 'Run the agent once as the worker would, and tell how it went'
complete -c aap -n '__aap_at agent' -s h -l help -d 'Show help'

complete -c aap -n '__aap_at agent show +' -l json -d 'Print JSON for programs'
complete -c aap -n '__aap_at agent show +' -l workspace -s w -x -a '(__aap_ask workspace names; __fish_complete_directories)' -d 'The workspace; what has a / is a path'
complete -c aap -n '__aap_at agent show +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at agent show +' -s h -l help -d 'Show help'

complete -c aap -n '__aap_at agent init +' -l conversation -x -a '(__aap_ask inbox conversations)' -d 'Of this one only'
complete -c aap -n '__aap_at agent init +' -l workspace -s w -x -a '(__aap_ask workspace names; __fish_complete_directories)' -d 'The workspace; what has a / is a path'
complete -c aap -n '__aap_at agent init +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at agent init +' -s h -l help -d 'Show help'

complete -c aap -n '__aap_at agent test +' -l here -d 'In this shell\'s environment'
complete -c aap -n '__aap_at agent test +' -l json -d 'Print JSON for programs'
complete -c aap -n '__aap_at agent test +' -l workspace -s w -x -a '(__aap_ask workspace names; __fish_complete_directories)' -d 'The workspace; what has a / is a path'
complete -c aap -n '__aap_at agent test +' -l config -r -F -d 'Read FILE, not your own aap.conf'
complete -c aap -n '__aap_at agent test +' -s h -l help -d 'Show help'
