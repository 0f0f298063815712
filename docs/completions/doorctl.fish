# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_doorctl_global_optspecs
    string join \n j/json h/help V/version
end

function __fish_doorctl_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_doorctl_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_doorctl_using_subcommand
    set -l cmd (__fish_doorctl_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c doorctl -n "__fish_doorctl_needs_command" -s j -l json -d 'Print JSON'
complete -c doorctl -n "__fish_doorctl_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c doorctl -n "__fish_doorctl_needs_command" -s V -l version -d 'Print version'
complete -c doorctl -n "__fish_doorctl_needs_command" -f -a "ls" -d 'List the doors of this machine'
complete -c doorctl -n "__fish_doorctl_needs_command" -f -a "info" -d 'Show what a door says about itself and what it has been doing'
complete -c doorctl -n "__fish_doorctl_needs_command" -f -a "call" -d 'Call a door and print what it answers'
complete -c doorctl -n "__fish_doorctl_needs_command" -f -a "serve" -d 'Make a door of a command: each call runs it with the argument on its standard input; what it prints is the answer'
complete -c doorctl -n "__fish_doorctl_needs_command" -f -a "bench" -d 'Measure a door: how long calls take, and how many a second it answers'
complete -c doorctl -n "__fish_doorctl_needs_command" -f -a "top" -d 'Watch the doors of this machine: calls a second, run time, threads, clients, errors'
complete -c doorctl -n "__fish_doorctl_needs_command" -f -a "detach" -d 'Detach whatever door is attached to a path; what it covered comes back'
complete -c doorctl -n "__fish_doorctl_needs_command" -f -a "echo-records" -d 'Answers records on its standard input; for bench'
complete -c doorctl -n "__fish_doorctl_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c doorctl -n "__fish_doorctl_using_subcommand ls" -l deadline -d 'Wait this many seconds for each server to answer' -r
complete -c doorctl -n "__fish_doorctl_using_subcommand ls" -s a -l all -d 'Doors without a path too, as far as the tables of descriptors of other processes may be looked into'
complete -c doorctl -n "__fish_doorctl_using_subcommand ls" -s v -l verbose -d 'Who holds each door'
complete -c doorctl -n "__fish_doorctl_using_subcommand ls" -s j -l json -d 'Print JSON'
complete -c doorctl -n "__fish_doorctl_using_subcommand ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c doorctl -n "__fish_doorctl_using_subcommand info" -l deadline -d 'Give up after this many seconds' -r
complete -c doorctl -n "__fish_doorctl_using_subcommand info" -s j -l json -d 'Print JSON'
complete -c doorctl -n "__fish_doorctl_using_subcommand info" -s h -l help -d 'Print help'
complete -c doorctl -n "__fish_doorctl_using_subcommand call" -l data -d 'The argument is this text' -r
complete -c doorctl -n "__fish_doorctl_using_subcommand call" -l file -d 'The argument is the content of this file; - is the standard input' -r -F
complete -c doorctl -n "__fish_doorctl_using_subcommand call" -l hex -d 'The argument is these bytes in hexadecimal; blanks between them are skipped' -r
complete -c doorctl -n "__fish_doorctl_using_subcommand call" -l pass-fd -d 'Send a copy of this open descriptor along; may be given again' -r
complete -c doorctl -n "__fish_doorctl_using_subcommand call" -l save-fd -d 'Write what can be read from descriptor N of the answer, counted from 0, to FILE; - is the standard output' -r
complete -c doorctl -n "__fish_doorctl_using_subcommand call" -l deadline -d 'Give up after this many seconds' -r
complete -c doorctl -n "__fish_doorctl_using_subcommand call" -l hex-output -d 'Print the answer in hexadecimal'
complete -c doorctl -n "__fish_doorctl_using_subcommand call" -s j -l json -d 'Print JSON'
complete -c doorctl -n "__fish_doorctl_using_subcommand call" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c doorctl -n "__fish_doorctl_using_subcommand serve" -l max-concurrent -d 'Commands that run at the same time; further calls wait' -r
complete -c doorctl -n "__fish_doorctl_using_subcommand serve" -l max-argument -d 'Greatest argument taken, in bytes' -r
complete -c doorctl -n "__fish_doorctl_using_subcommand serve" -l max-reply -d 'Greatest answer, in bytes' -r
complete -c doorctl -n "__fish_doorctl_using_subcommand serve" -l time-limit -d 'Kill a command that runs longer than this many seconds' -r
complete -c doorctl -n "__fish_doorctl_using_subcommand serve" -l accept-fds -d 'Take descriptors of the caller, up to 64, and pass them on'
complete -c doorctl -n "__fish_doorctl_using_subcommand serve" -s j -l json -d 'Print JSON'
complete -c doorctl -n "__fish_doorctl_using_subcommand serve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c doorctl -n "__fish_doorctl_using_subcommand bench" -l size -d 'Size of the argument in bytes' -r
complete -c doorctl -n "__fish_doorctl_using_subcommand bench" -l threads -d 'Threads that call at the same time' -r
complete -c doorctl -n "__fish_doorctl_using_subcommand bench" -l seconds -d 'How long each of the two is measured' -r
complete -c doorctl -n "__fish_doorctl_using_subcommand bench" -l deadline -d 'Give up if the first call takes longer than this many seconds' -r
complete -c doorctl -n "__fish_doorctl_using_subcommand bench" -s j -l json -d 'Print JSON'
complete -c doorctl -n "__fish_doorctl_using_subcommand bench" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c doorctl -n "__fish_doorctl_using_subcommand top" -s i -l interval -d 'Seconds between two looks' -r
complete -c doorctl -n "__fish_doorctl_using_subcommand top" -s n -l count -d 'End after this many rounds' -r
complete -c doorctl -n "__fish_doorctl_using_subcommand top" -l once -d 'Print one round and end; its numbers are those of one interval'
complete -c doorctl -n "__fish_doorctl_using_subcommand top" -s j -l json -d 'Print JSON'
complete -c doorctl -n "__fish_doorctl_using_subcommand top" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c doorctl -n "__fish_doorctl_using_subcommand detach" -s j -l json -d 'Print JSON'
complete -c doorctl -n "__fish_doorctl_using_subcommand detach" -s h -l help -d 'Print help'
complete -c doorctl -n "__fish_doorctl_using_subcommand echo-records" -s j -l json -d 'Print JSON'
complete -c doorctl -n "__fish_doorctl_using_subcommand echo-records" -s h -l help -d 'Print help'
complete -c doorctl -n "__fish_doorctl_using_subcommand help; and not __fish_seen_subcommand_from ls info call serve bench top detach echo-records help" -f -a "ls" -d 'List the doors of this machine'
complete -c doorctl -n "__fish_doorctl_using_subcommand help; and not __fish_seen_subcommand_from ls info call serve bench top detach echo-records help" -f -a "info" -d 'Show what a door says about itself and what it has been doing'
complete -c doorctl -n "__fish_doorctl_using_subcommand help; and not __fish_seen_subcommand_from ls info call serve bench top detach echo-records help" -f -a "call" -d 'Call a door and print what it answers'
complete -c doorctl -n "__fish_doorctl_using_subcommand help; and not __fish_seen_subcommand_from ls info call serve bench top detach echo-records help" -f -a "serve" -d 'Make a door of a command: each call runs it with the argument on its standard input; what it prints is the answer'
complete -c doorctl -n "__fish_doorctl_using_subcommand help; and not __fish_seen_subcommand_from ls info call serve bench top detach echo-records help" -f -a "bench" -d 'Measure a door: how long calls take, and how many a second it answers'
complete -c doorctl -n "__fish_doorctl_using_subcommand help; and not __fish_seen_subcommand_from ls info call serve bench top detach echo-records help" -f -a "top" -d 'Watch the doors of this machine: calls a second, run time, threads, clients, errors'
complete -c doorctl -n "__fish_doorctl_using_subcommand help; and not __fish_seen_subcommand_from ls info call serve bench top detach echo-records help" -f -a "detach" -d 'Detach whatever door is attached to a path; what it covered comes back'
complete -c doorctl -n "__fish_doorctl_using_subcommand help; and not __fish_seen_subcommand_from ls info call serve bench top detach echo-records help" -f -a "echo-records" -d 'Answers records on its standard input; for bench'
complete -c doorctl -n "__fish_doorctl_using_subcommand help; and not __fish_seen_subcommand_from ls info call serve bench top detach echo-records help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
