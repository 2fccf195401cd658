# fish completion for saescope(1)

set -l commands info scan features feature hist token score ablate compare cosine convert labels prompt capture
set -l columns 'id density count mean max bias threshold decoder_norm encoder_decoder_cosine nearest_cosine delta_fvu relative_decoder_norm label'
set -l no_command "not __fish_seen_subcommand_from $commands"

complete -c saescope -n $no_command -a info \
    -d 'What a checkpoint is: format, shapes, biases, norms'
complete -c saescope -n $no_command -a scan \
    -d 'Run the samples through the SAE, keep an index'
complete -c saescope -n $no_command -a features \
    -d 'The table of all features'
complete -c saescope -n $no_command -a feature \
    -d 'All about one or several features'
complete -c saescope -n $no_command -a hist \
    -d 'Histogram of one quantity over all features'
complete -c saescope -n $no_command -a token \
    -d 'What the activation at one token is made of'
complete -c saescope -n $no_command -a ablate \
    -d 'What the loss loses when a feature is taken out'
complete -c saescope -n $no_command -a score \
    -d 'What the language model loses with the SAE in place'
complete -c saescope -n $no_command -a compare \
    -d 'Two checkpoints side by side'
complete -c saescope -n $no_command -a cosine \
    -d 'Cosines with true features, another SAE, each other'
complete -c saescope -n $no_command -a capture \
    -d 'Activation samples of a text, as a bundle'
complete -c saescope -n $no_command -a prompt \
    -d 'The features of a text, its losses, the next token'
complete -c saescope -n $no_command -a convert \
    -d 'Write a checkpoint as a SAELens or npy directory'

complete -c saescope -s s -l sae -r -F -d 'Which SAE: name in the bundle, or path'
complete -c saescope -s a -l acts -r -F -d 'Activation samples'
complete -c saescope -s t -l tokens -r -F -d 'Token ids'
complete -c saescope -l token-dtype -x -a 'uint16 uint32 int32 int64' -d 'The tokens are nothing but such numbers'
complete -c saescope -l target -r -F -d 'Of transcoders, what their output should be'
complete -c saescope -l seq-len -x -d 'Cut flat samples into sequences'
complete -c saescope -l tokenizer -r -F -d 'tokenizer.json, tokenizer.model or vocab.json'
complete -c saescope -s m -l model -x -a '(__fish_complete_directories)' -d 'Language model'
complete -c saescope -l hook -x -d 'Where the SAE sits'
complete -c saescope -l sequences -x -d 'Only the first sequences'
complete -c saescope -l tokens-limit -x -d 'Only the first tokens'
complete -c saescope -l skip-first -x -d 'Leave the first positions out'
complete -c saescope -l skip-tokens -x -d 'Leave these token ids out'
complete -c saescope -l index -r -F -d 'Where the index of the scan is kept'
complete -c saescope -l no-index -d 'Neither read nor keep an index'
complete -c saescope -l rebuild -d 'Scan again even if there is an index'
complete -c saescope -l truth -r -F -d 'True features'
complete -c saescope -l labels -r -F -d 'Labels of features'
complete -c saescope -l format -x -d 'Read as this format' \
    -a 'saelens gemma-scope sparsify llama-scope openmoss npy openai dictionary-learning mats kissane deepseek goodfire circuit-tracer transcoder-circuits crosscoder'
complete -c saescope -l fold-decoder-norms -x -a 'on off' -d 'Scale decoder rows to unit length'
complete -c saescope -l norm-factor -x -a estimate -d 'Multiply the activations'
complete -c saescope -l subtract-mean -x -d 'Take this vector of the checkpoint off the input'
complete -c saescope -l decoder-layer -x -d 'Of a cross-layer transcoder, to this layer'
complete -c saescope -l subtract-b-dec -x -a 'on off' -d 'Take b_dec off the input'
complete -c saescope -l memory -x -d 'Memory beyond mapped files'
complete -c saescope -s j -l threads -x -d 'Threads'
complete -c saescope -l seed -x -d 'For what is drawn at random'
complete -c saescope -l quick -d 'Leave out what is slow'
complete -c saescope -l json -d 'Print one JSON object'
complete -c saescope -l tsv -d 'Print tab-separated values'
complete -c saescope -l table -x -d 'Which nested list --tsv prints' \
    -a 'tensors histogram features top intervals examples neighbours encoder_neighbours promotes suppresses coactive worst matches one_to_one split saes near_l0 best composites alone matrix histograms series files next'
complete -c saescope -l color -x -a 'auto always never 16 256 truecolor' -d 'Colours'
complete -c saescope -l ascii -d 'Draw with ASCII only'
complete -c saescope -l theme -x -a 'default light dark mono contrast' -d 'Colours of the explorer'
complete -c saescope -s q -l quiet -d 'No progress'
complete -c saescope -l verbose -d 'Say what was recognised, the index, timings'
complete -c saescope -s h -l help -d 'Help'
complete -c saescope -s V -l version -d 'The version'

set -l of_features '__fish_seen_subcommand_from features'
complete -c saescope -n $of_features -l sort -x -a $columns -d 'Sort by this column'
complete -c saescope -n $of_features -l reverse -d 'Turn the order around'
complete -c saescope -n $of_features -l filter -x -d 'Only these features'
complete -c saescope -n $of_features -l limit -x -d 'At most this many rows'
complete -c saescope -n $of_features -l columns -x -d 'Only these columns' \
    -a "(__fish_append , (string split -n ' ' '$columns'))"

set -l of_feature '__fish_seen_subcommand_from feature'
complete -c saescope -n $of_feature -l top -x -d 'Strongest examples'
complete -c saescope -n $of_feature -l context -x -d 'Tokens shown on each side'
complete -c saescope -n $of_feature -l raw-logits -d 'Logits without the final gain'

set -l of_hist '__fish_seen_subcommand_from hist'
complete -c saescope -n $of_hist -l of -x -d 'Of what' \
    -a 'b_enc b_dec threshold density max decoder_norm encoder_decoder_cosine relative_decoder_norm delta_fvu'
complete -c saescope -n $of_hist -l bins -x -d 'Number of bins'
complete -c saescope -n $of_hist -l range -x -d 'Bin only values within LO,HI'
complete -c saescope -n $of_hist -l log -d 'Bin log10 of the values'

complete -c saescope -n $no_command -a labels -d 'Labels and notes of its features'
complete -c saescope -n '__fish_seen_subcommand_from labels' -l import -r -F \
    -d 'Take over a Neuronpedia export'
set -l of_token '__fish_seen_subcommand_from token'
complete -c saescope -n $of_token -l top -x -d 'How many parts'
complete -c saescope -n $of_token -l order -x -a 'norm projection' -d 'Greatest first'

set -l of_score '__fish_seen_subcommand_from score'
complete -c saescope -n $of_score -l from-samples -d 'Reconstruct the samples'
complete -c saescope -n $of_score -l baseline -x -a 'zero mean b_dec' \
    -d 'What stands at the hook at worst'

set -l of_ablate '__fish_seen_subcommand_from ablate'
complete -c saescope -n $of_ablate -l mode -x -a 'reconstruction error-kept' -d 'Out of what'
complete -c saescope -n $of_ablate -l top -x -d 'How many features with --by'
complete -c saescope -n $of_ablate -l at -x \
    -d 'What changes at every token of this sequence'
complete -c saescope -n $of_ablate -l by -x -a "estimate max*density $columns" \
    -d 'Features greatest in this'

set -l of_capture '__fish_seen_subcommand_from capture'
complete -c saescope -n $of_capture -l text -r -F -d 'The text'
complete -c saescope -n $of_capture -s o -l output -x -a '(__fish_complete_directories)' \
    -d 'The bundle to be made'
complete -c saescope -n $of_capture -l dtype -x -a 'f16 f32' -d 'Of the samples'
complete -c saescope -n $of_capture -l zstd -d 'Pack the samples'
complete -c saescope -n $of_capture -l bos -x -a 'yes no' -d 'Begin-of-text in front'

set -l of_prompt '__fish_seen_subcommand_from prompt'
complete -c saescope -n $of_prompt -l text -x -d 'The text'
complete -c saescope -n $of_prompt -l bos -x -a 'yes no' -d 'Begin-of-text in front'
complete -c saescope -n $of_prompt -l top -x -d 'Features of each token'
complete -c saescope -n $of_prompt -l ablate -x -d 'Take these features out'
complete -c saescope -n $of_prompt -l mode -x -a 'reconstruction error-kept' -d 'Out of what'

set -l of_compare '__fish_seen_subcommand_from compare'
complete -c saescope -n $of_compare -l matching -x -a 'optimal greedy' -d 'One-to-one matching'
complete -c saescope -n $of_compare -l pareto -d 'Several, as points'
complete -c saescope -n $of_compare -l near-l0 -x -d 'Percent that L0 may differ'

set -l of_cosine '__fish_seen_subcommand_from cosine'
complete -c saescope -n $of_cosine -l against -r -F -d 'The decoder of another SAE'
complete -c saescope -n $of_cosine -l weights -x -a 'decoder encoder' -d 'Whose rows'
complete -c saescope -n $of_cosine -l matrix -d 'Print all cosines'

set -l of_convert '__fish_seen_subcommand_from convert'
complete -c saescope -n $of_convert -l to -x -a 'saelens npy jumprelu' -d 'The form'
complete -c saescope -n $of_convert -l zstd -d 'With --to npy, pack the arrays'
