#!/usr/bin/env bash
# Seeds of every target into corpus/: the files of seeds/, and fixtures of the tests and files that ship. A target with
# several forms of input tells them apart by the first byte.
set -euo pipefail
cd "$(dirname "$0")"
crates=../crates

# take TARGET BYTE FILE...: BYTE is hexadecimal, or - for none.
take() {
    local target=$1 byte=$2
    shift 2
    mkdir -p "corpus/$target"
    for file; do
        {
            [ "$byte" = - ] || printf '%b' "\\x$byte"
            cat "$file"
        } >"corpus/$target/$(basename "$(dirname "$file")")-$(basename "$file")-$byte"
    done
}
# text TARGET BYTE NAME TEXT
text() {
    mkdir -p "corpus/$1"
    {
        [ "$2" = - ] || printf '%b' "\\x$2"
        printf '%s' "$4"
    } >"corpus/$1/$3"
}

for directory in seeds/*/; do
    target=$(basename "$directory")
    mkdir -p "corpus/$target"
    cp "$directory"* "corpus/$target/"
done

for name in google/t5-v1_1-small google/t5@refs/pr/1 ./models/t5 mnli dev fpt-cr cr-3/4 0123456789abcdef0123456789abcdef01234567; do
    text model_names - "${name//\//_}" "$name"
done
tail -c +2 seeds/weights/safetensors >corpus/safetensors-seed
take safetensors - corpus/safetensors-seed "$crates"/fpt-prompt/tests/peft/written_by_peft_*/adapter_model.safetensors
rm corpus/safetensors-seed
take weight_index - "$crates"/fpt-t5/tests/golden/checkpoints/*sharded/*.index.json
take weights 01 "$crates"/fpt-prompt/tests/peft/*/adapter_model.bin "$crates"/fpt-t5/tests/golden/checkpoints/executes.bin
take weights 04 seeds/config.json
text sealed - empty $'fpt-checkpoint 1 sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n'
files=$crates/fpt-tasks/tests/files
take tables 00 "$files"/mnli/*
take tables 01 "$files"/qqp/*
take tables 02 "$files"/xsum/*
text tables 03 jsonl $'{"document":"A b.\\nC d.","summary":"A c.","id":"1"}\n{"document":"E","summary":"F"}\n'
take squad2 - "$files"/squad2/*
take record - "$files"/record/*
take parquet - "$crates"/fpt-tasks/tests/parquet/*.parquet
text metrics - sentences "The cat, sat. On a mat! the end.the cat sat on an old mat. end"
take npy - "$crates"/fpt-prompt/tests/npy/*.npy
peft=$crates/fpt-prompt/tests/peft
take adapter 01 "$peft"/*/adapter_config.json
take adapter 02 "$peft"/*/adapter_model.safetensors
take adapter 03 "$peft"/*/adapter_model.bin
text adapter 00 both '{"peft_type":"PROMPT_TUNING","num_virtual_tokens":1,"token_dim":8}'
take t5_config - ../configs/models/*.json ../datasets/mini-world/model/config.json "$crates"/fpt-t5/tests/golden/*/config.json seeds/config.json
take spiece 00 "$crates"/fpt-t5/tests/tokenizer/options.model
take spiece 01 "$crates"/fpt-t5/tests/tokenizer/options.model
take tokenizer_json - ../datasets/mini-world/model/tokenizer.json
text tokenize - text "question: who lives in Kiel? context: ﬁne 😀 é <extra_id_0> x</s>"
take experiment - ../configs/mini.toml ../configs/t5-large.toml ../configs/t5-xl.toml ../configs/flan-t5-base.toml
text assignments - steps $'train.steps=50\nschedule.method="fpt-cr"\nlengths.pad_to={multiple = 4}'
text assignments - stages $'schedule.stages=[{steps=0.3, layers=4, heads=0.5}, {d_ff=0.75}]\neval.every=7\ntask=xsum'
take pretrain_config - ../configs/pretrain-mini.toml
text pretrain_state - edits $'\x01\x09\x01\x02'
text pretrain_state - cut $'\x01\x20\x01'
run=$crates/fpt-report/tests/runs/mnli-pt-s0
take run_directory 00 "$run"/config.toml
take run_directory 01 "$run"/result.json
take run_directory 02 "$run"/metrics.jsonl
text run_directory 03 sums "$(sha256sum "$run/result.json" | cut -d' ' -f1)  result.json"$'\n'
text run_directory 04 selections '[{"encoder":{"layers":[0],"neurons":[[0,1]],"heads":[[0]]},"decoder":{"layers":[0],"neurons":[[0]],"heads":[[0]],"cross_heads":[[0]]}}]'
text run_directory 05 inputs '{"model":"a","tokenizer":"b","task":"c","splits":{"train":"d","dev":"e"}}'
pair='{"cosine":1.0,"euclidean":0.0,"activation_cosine":1.0,"activation_overlap":0.5}'
text run_directory 06 similarity "{\"task\":\"mnli\",\"runs\":[\"a\",\"b\"],\"names\":[\"PT\",\"b\"],\"pairs\":[[$pair,$pair],[$pair,$pair]]}"
text run_directory 07 transfer '{"task":"mnli","metric":"accuracy","examples":3,"runs":["a"],"prompts":["PT"],"models":["PT"],"scores":[[50.0]]}'
version_1=$crates/fpt-train/tests/checkpoints/version-1.fpt
tail -n +2 "$version_1" >corpus/checkpoint-seed
take checkpoint - corpus/checkpoint-seed
rm corpus/checkpoint-seed
