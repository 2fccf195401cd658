# bash completion for saescope(1)

_saescope()
{
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    local commands='info scan features feature hist token score ablate compare
        cosine convert labels prompt capture'
    local columns='id density count mean max bias threshold decoder_norm
        encoder_decoder_cosine nearest_cosine delta_fvu relative_decoder_norm label'
    local options='--sae --acts --tokens --seq-len --tokenizer --model --truth --hook --sequences
        --tokens-limit --skip-first --skip-tokens --index --no-index --rebuild --labels
        --format --fold-decoder-norms --subtract-b-dec --norm-factor --subtract-mean --decoder-layer --target
        --token-dtype        --memory --threads --seed --quick --json --tsv --table
        --color --ascii --theme --quiet --verbose --help --version'
    local word command='' first=1
    COMPREPLY=()

    # bash splits --color=never in three
    if [[ $cur == '=' ]]; then
        cur=''
    elif [[ $prev == '=' ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
    fi

    for word in "${COMP_WORDS[@]:1:COMP_CWORD - 1}"; do
        case $word in
        info | scan | features | feature | hist | token | score | ablate | compare | \
            cosine | convert | labels | prompt | capture)
            [[ $command ]] || command=$word first='' ;;
        esac
    done
    case $command in
    features) options+=' --sort --reverse --filter --limit --columns' ;;
    feature) options+=' --top --context --raw-logits' ;;
    hist) options+=' --of --bins --range --log' ;;
    token) options+=' --top --order' ;;
    score) options+=' --from-samples --baseline' ;;
    ablate) options+=' --top --by --at --mode' ;;
    compare) options+=' --matching --pareto --near-l0' ;;
    cosine) options+=' --against --weights --matrix' ;;
    convert) options+=' --to --zstd' ;;
    labels) options+=' --import' ;;
    capture) options+=' --text --output --dtype --zstd --bos' ;;
    prompt) options+=' --text --bos --top --ablate --mode' ;;
    esac

    case $prev in
    --model | -m | --output | -o)
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
    --color)
        mapfile -t COMPREPLY < <(compgen -W 'auto always never 16 256 truecolor' -- "$cur") ;;
    --weights)
        mapfile -t COMPREPLY < <(compgen -W 'decoder encoder' -- "$cur") ;;
    --matching)
        mapfile -t COMPREPLY < <(compgen -W 'optimal greedy' -- "$cur") ;;
    --to)
        mapfile -t COMPREPLY < <(compgen -W 'saelens npy jumprelu' -- "$cur") ;;
    --token-dtype)
        mapfile -t COMPREPLY < <(compgen -W 'uint16 uint32 int32 int64' -- "$cur") ;;
    --norm-factor)
        mapfile -t COMPREPLY < <(compgen -W 'estimate' -- "$cur") ;;
    --fold-decoder-norms | --subtract-b-dec)
        mapfile -t COMPREPLY < <(compgen -W 'on off' -- "$cur") ;;
    --format)
        mapfile -t COMPREPLY < <(compgen -W 'saelens gemma-scope sparsify llama-scope openmoss
            npy openai dictionary-learning mats kissane deepseek goodfire
            circuit-tracer transcoder-circuits crosscoder' -- "$cur") ;;
    --of)
        mapfile -t COMPREPLY < <(compgen -W 'b_enc b_dec threshold density max decoder_norm
            encoder_decoder_cosine relative_decoder_norm delta_fvu' -- "$cur") ;;
    --dtype)
        mapfile -t COMPREPLY < <(compgen -W 'f16 f32' -- "$cur") ;;
    --bos)
        mapfile -t COMPREPLY < <(compgen -W 'yes no' -- "$cur") ;;
    --mode)
        mapfile -t COMPREPLY < <(compgen -W 'reconstruction error-kept' -- "$cur") ;;
    --order)
        mapfile -t COMPREPLY < <(compgen -W 'norm projection' -- "$cur") ;;
    --baseline)
        mapfile -t COMPREPLY < <(compgen -W 'zero mean b_dec' -- "$cur") ;;
    --sort)
        mapfile -t COMPREPLY < <(compgen -W "$columns" -- "$cur") ;;
    --by)
        mapfile -t COMPREPLY < <(compgen -W "estimate max*density $columns" -- "$cur") ;;
    --columns)
        local before=''
        [[ $cur == *,* ]] && before=${cur%,*},
        mapfile -t COMPREPLY < <(compgen -P "$before" -W "$columns" -- "${cur##*,}")
        compopt -o nospace ;;
    --table)
        mapfile -t COMPREPLY < <(compgen -W 'tensors histogram features top intervals examples
            neighbours encoder_neighbours promotes suppresses coactive worst tokens parts
            matches one_to_one split saes near_l0 best composites alone matrix histograms series files next' -- "$cur") ;;
    --theme)
        mapfile -t COMPREPLY < <(compgen -W 'default light dark mono contrast' -- "$cur") ;;
    --sae | -s | --acts | -a | --tokens | -t | --target | --tokenizer | --index | --labels | \
        --truth | --against) ;;
    --seq-len | --hook | --sequences | --tokens-limit | --skip-first | --skip-tokens | \
        --memory | --subtract-mean | --decoder-layer | --threads | -j | --seed | --filter | --limit | --top | --context | \
        --bins | --near-l0 | --range | --ablate | --text)
        compopt +o default ;;
    *)
        if [[ $cur == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
        elif [[ $first ]]; then
            compopt -o filenames
            mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$cur"; compgen -f -- "$cur")
        fi ;;
    esac
}

complete -o default -F _saescope saescope
