/* lm_family.c - the table of language model families, and how each says its sizes.
 *
 * A new family is an entry in lm_families and a function that reads its config.json.
 * Names and formulas: the modeling_*.py of Hugging Face transformers. */
#include "model/lm_impl.h"

#include <math.h>
#include <string.h>

#include "io/json.h"

/* ---- reading config.json */

/* An integer that must be there, of [1, max]. */
static bool need(const json_t *cfg, const char *key, int64_t max, int64_t *out,
                 struct err *err)
{
    int64_t v = -1;
    if (!json_get_int(cfg, key, &v, err))
        return false;
    if (!json_object_get(cfg, key) || json_is_null(json_object_get(cfg, key)))
        return err_set(err, ERR_MISSING, "'%s' is missing (found none, expected a number)", key);
    if (v < 1 || v > max)
        return err_set(err, ERR_RANGE, "'%s' is out of range (found %lld, expected 1 to %lld)",
                       key, (long long)v, (long long)max);
    *out = v;
    return true;
}

static bool option(const json_t *cfg, const char *key, int64_t max, int64_t *out,
                   struct err *err)
{
    const json_t *v = json_object_get(cfg, key);
    return !v || json_is_null(v) || need(cfg, key, max, out, err);
}

bool lm_get_positive(const json_t *cfg, const char *key, double *out, struct err *err)
{
    double v = *out;
    if (!json_get_double(cfg, key, &v, err))
        return false;
    if (!(v > 0 && v < 1e30))
        return err_set(err, ERR_RANGE, "bad '%s' (found %.9g, expected a positive number)", key, v);
    *out = v;
    return true;
}

static bool activation(const json_t *cfg, const char *key, const char *name,
                       struct lm_config *c, struct err *err)
{
    static const struct {
        const char *name;
        enum lm_act act;
    } table[] = {
        {"gelu_new", LM_GELU_TANH},  {"gelu_pytorch_tanh", LM_GELU_TANH},
        {"gelu_fast", LM_GELU_TANH}, {"gelu", LM_GELU_ERF},
        {"silu", LM_SILU},           {"swish", LM_SILU},
        {"relu", LM_RELU},
    };
    if (!json_get_string(cfg, key, &name, err))
        return false;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(table[i].name, name) == 0) {
            c->act = table[i].act;
            return true;
        }
    return err_set(err, ERR_UNSUPPORTED,
                   "'%s' is not read (found \"%s\", expected gelu_new, gelu, "
                   "gelu_pytorch_tanh, silu or relu)", key, name);
}

static bool divides(int64_t whole, const char *whole_name, int64_t parts,
                    const char *parts_name, struct err *err)
{
    if (whole % parts == 0)
        return true;
    return err_set(err, ERR_SHAPE, "'%s' does not divide '%s' (found %lld and %lld, expected a divisor)",
                   parts_name, whole_name, (long long)parts, (long long)whole);
}

/* ---- families */

static bool configure_gpt2(const json_t *cfg, struct lm_config *c, struct err *err)
{
    bool scaled = true;
    if (!need(cfg, "n_embd", LM_MAX_DIM, &c->d_model, err) ||
        !need(cfg, "n_layer", LM_MAX_LAYERS, &c->n_layers, err) ||
        !need(cfg, "n_head", LM_MAX_DIM, &c->n_heads, err))
        return false;
    c->n_kv = c->n_heads;
    c->d_mlp = 4 * c->d_model;
    c->context = 1024;
    c->eps = 1e-5;
    if (!divides(c->d_model, "n_embd", c->n_heads, "n_head", err) ||
        !option(cfg, "n_inner", LM_MAX_DIM, &c->d_mlp, err) ||
        !option(cfg, "n_ctx", LM_MAX_DIM, &c->context, err) ||
        !option(cfg, "n_positions", LM_MAX_DIM, &c->context, err) ||
        !lm_get_positive(cfg, "layer_norm_epsilon", &c->eps, err) ||
        !json_get_bool(cfg, "scale_attn_by_inverse_layer_idx", &c->scale_by_layer, err) ||
        !json_get_bool(cfg, "scale_attn_weights", &scaled, err) ||
        !activation(cfg, "activation_function", "gelu_new", c, err))
        return false;
    c->d_head = c->d_model / c->n_heads;
    c->attn_scale = scaled ? 1 / sqrt((double)c->d_head) : 1;
    c->tied = true;
    return true;
}

static bool configure_neox(const json_t *cfg, struct lm_config *c, struct err *err)
{
    double rotary = 0.25;
    if (!need(cfg, "hidden_size", LM_MAX_DIM, &c->d_model, err) ||
        !need(cfg, "num_hidden_layers", LM_MAX_LAYERS, &c->n_layers, err) ||
        !need(cfg, "num_attention_heads", LM_MAX_DIM, &c->n_heads, err) ||
        !need(cfg, "intermediate_size", LM_MAX_DIM, &c->d_mlp, err))
        return false;
    c->n_kv = c->n_heads;
    c->context = 2048;
    c->eps = 1e-5;
    c->parallel = true;
    if (!divides(c->d_model, "hidden_size", c->n_heads, "num_attention_heads", err) ||
        !option(cfg, "max_position_embeddings", LM_MAX_DIM, &c->context, err) ||
        !lm_get_positive(cfg, "layer_norm_eps", &c->eps, err) ||
        !json_get_bool(cfg, "use_parallel_residual", &c->parallel, err) ||
        !lm_get_positive(cfg, "rotary_pct", &rotary, err) ||
        !lm_get_positive(json_object_get(cfg, "rope_parameters"), "partial_rotary_factor", &rotary,
                  err) ||
        !lm_rope_read(cfg, "rotary_emb_base", c->context, &c->rope, err) ||
        !activation(cfg, "hidden_act", "gelu", c, err))
        return false;
    c->d_head = c->d_model / c->n_heads;
    c->rope.dims = (int64_t)((rotary < 1 ? rotary : 1) * (double)c->d_head);
    c->attn_scale = 1 / sqrt((double)c->d_head);
    return true;
}

/* What Llama and its descendants have in common. */
static bool configure_rms(const json_t *cfg, struct lm_config *c, struct err *err)
{
    if (!need(cfg, "hidden_size", LM_MAX_DIM, &c->d_model, err) ||
        !need(cfg, "num_hidden_layers", LM_MAX_LAYERS, &c->n_layers, err) ||
        !need(cfg, "num_attention_heads", LM_MAX_DIM, &c->n_heads, err) ||
        !need(cfg, "intermediate_size", LM_MAX_DIM, &c->d_mlp, err))
        return false;
    c->n_kv = c->n_heads;
    c->context = 2048;
    c->eps = 1e-6;
    if (!option(cfg, "num_key_value_heads", LM_MAX_DIM, &c->n_kv, err) ||
        !option(cfg, "head_dim", LM_MAX_DIM, &c->d_head, err) ||
        !option(cfg, "max_position_embeddings", LM_MAX_DIM, &c->context, err) ||
        !lm_get_positive(cfg, "rms_norm_eps", &c->eps, err) ||
        !lm_rope_read(cfg, "rope_theta", c->context, &c->rope, err) ||
        !divides(c->n_heads, "num_attention_heads", c->n_kv, "num_key_value_heads", err))
        return false;
    if (!c->d_head) {
        if (!divides(c->d_model, "hidden_size", c->n_heads, "num_attention_heads", err))
            return false;
        c->d_head = c->d_model / c->n_heads;
    }
    c->rope.dims = c->d_head;
    c->attn_scale = 1 / sqrt((double)c->d_head);
    return true;
}

static bool configure_llama(const json_t *cfg, struct lm_config *c, struct err *err)
{
    return configure_rms(cfg, c, err) && activation(cfg, "hidden_act", "silu", c, err);
}

/* v as the type named by torch_dtype would hold it: the embedding's factor is a tensor of
 * that type. */
static float rounded(double v, const char *dtype)
{
    float f = (float)v;
    if (strcmp(dtype, "float16") == 0) {
        uint16_t half;
        f16_from_f32(&f, &half, 1);
        f32_from_f16(&half, &f, 1);
    } else if (strcmp(dtype, "bfloat16") == 0) {
        uint32_t bits;
        memcpy(&bits, &f, sizeof bits);
        bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000;
        memcpy(&f, &bits, sizeof f);
    }
    return f;
}

/* Which layers see a window only: every other one, or those that layer_types names. */
static bool read_layer_types(const json_t *cfg, struct lm_config *c, struct err *err)
{
    const json_t *types = json_object_get(cfg, "layer_types"), *one;
    size_t i, n = json_array_size(types);
    bool windowed = !json_is_null(json_object_get(cfg, "sliding_window"));
    for (i = 0; i < (size_t)c->n_layers; i++)
        c->slides[i] = windowed && i % 2 == 0;
    if (!types || json_is_null(types))
        return true;
    if (!json_is_array(types) || n != (size_t)c->n_layers)
        return err_set(err, ERR_SHAPE, "'layer_types' is not a list of all layers (found "
                       "%lld, expected %lld)", (long long)n, (long long)c->n_layers);
    json_array_foreach(types, i, one) {
        const char *name = json_is_string(one) ? json_string_value(one) : "no name";
        bool slides = strcmp(name, "sliding_attention") == 0;
        if (!slides && strcmp(name, "full_attention") != 0)
            return err_set(err, ERR_UNSUPPORTED, "layer %lld of 'layer_types' is not read "
                           "(found \"%s\", expected sliding_attention or full_attention)",
                           (long long)i, name);
        c->slides[i] = slides && windowed;
    }
    return true;
}

static bool configure_gemma2(const json_t *cfg, struct lm_config *c, struct err *err)
{
    const char *dtype = "float32";
    double scalar = 256;
    c->d_head = 256;
    c->window = 4096;
    c->attn_cap = 50;
    c->final_cap = 30;
    if (!configure_rms(cfg, c, err) ||
        !json_get_string(cfg, "torch_dtype", &dtype, err) ||
        !json_get_string(cfg, "dtype", &dtype, err) ||
        !lm_get_positive(cfg, "query_pre_attn_scalar", &scalar, err) ||
        !option(cfg, "sliding_window", LM_MAX_DIM, &c->window, err) ||
        !read_layer_types(cfg, c, err))
        return false;
    /* null takes a cap off, and so it is not the same as a key that is missing */
    static const char *const keys[] = {"attn_logit_softcapping", "final_logit_softcapping"};
    double *caps[] = {&c->attn_cap, &c->final_cap};
    for (int i = 0; i < 2; i++) {
        if (json_is_null(json_object_get(cfg, keys[i])))
            *caps[i] = 0;
        else if (!lm_get_positive(cfg, keys[i], caps[i], err))
            return false;
    }
    c->attn_scale = 1 / sqrt(scalar);
    c->embed_scale = rounded(sqrt((double)c->d_model), dtype);
    c->tied = true;
    return activation(cfg, "hidden_activation", "gelu_pytorch_tanh", c, err);
}

#define LLAMA_LAYER "layers.%lld."

const struct lm_family lm_families[] = {
    {
        .model_type = "gpt2",
        .architecture = "GPT2LMHeadModel",
        .configure = configure_gpt2,
        .conv1d = true,
        .biases = true,
        .names = {.embed = "wte", .positions = "wpe", .final_norm = "ln_f",
                  .unembed = "lm_head", .norm1 = "h.%lld.ln_1", .norm2 = "h.%lld.ln_2",
                  .qkv = "h.%lld.attn.c_attn", .o = "h.%lld.attn.c_proj",
                  .up = "h.%lld.mlp.c_fc", .down = "h.%lld.mlp.c_proj"},
    },
    {
        .model_type = "gpt_neox",
        .architecture = "GPTNeoXForCausalLM",
        .configure = configure_neox,
        .qkv_by_head = true,
        .names = {.embed = "embed_in", .final_norm = "final_layer_norm",
                  .unembed = "embed_out",
                  .norm1 = LLAMA_LAYER "input_layernorm",
                  .norm2 = LLAMA_LAYER "post_attention_layernorm",
                  .qkv = LLAMA_LAYER "attention.query_key_value",
                  .o = LLAMA_LAYER "attention.dense",
                  .up = LLAMA_LAYER "mlp.dense_h_to_4h",
                  .down = LLAMA_LAYER "mlp.dense_4h_to_h"},
    },
    {
        .model_type = "llama",
        .architecture = "LlamaForCausalLM",
        .configure = configure_llama,
        .rms = true,
        .names = {.embed = "embed_tokens", .final_norm = "norm", .unembed = "lm_head",
                  .norm1 = LLAMA_LAYER "input_layernorm",
                  .norm2 = LLAMA_LAYER "post_attention_layernorm",
                  .q = LLAMA_LAYER "self_attn.q_proj", .k = LLAMA_LAYER "self_attn.k_proj",
                  .v = LLAMA_LAYER "self_attn.v_proj", .o = LLAMA_LAYER "self_attn.o_proj",
                  .gate = LLAMA_LAYER "mlp.gate_proj", .up = LLAMA_LAYER "mlp.up_proj",
                  .down = LLAMA_LAYER "mlp.down_proj"},
    },
    {
        .model_type = "gemma2",
        .architecture = "Gemma2ForCausalLM",
        .configure = configure_gemma2,
        .rms = true,
        .one_plus = true,
        .names = {.embed = "embed_tokens", .final_norm = "norm", .unembed = "lm_head",
                  .norm1 = LLAMA_LAYER "input_layernorm",
                  .norm2 = LLAMA_LAYER "pre_feedforward_layernorm",
                  .attn_post = LLAMA_LAYER "post_attention_layernorm",
                  .mlp_post = LLAMA_LAYER "post_feedforward_layernorm",
                  .q = LLAMA_LAYER "self_attn.q_proj", .k = LLAMA_LAYER "self_attn.k_proj",
                  .v = LLAMA_LAYER "self_attn.v_proj", .o = LLAMA_LAYER "self_attn.o_proj",
                  .gate = LLAMA_LAYER "mlp.gate_proj", .up = LLAMA_LAYER "mlp.up_proj",
                  .down = LLAMA_LAYER "mlp.down_proj"},
    },
    {.model_type = NULL},
};

const struct lm_family *lm_family_of(const json_t *cfg, struct err *err)
{
    const char *type = NULL;
    if (!json_get_string(cfg, "model_type", &type, err))
        return NULL;
    const char *first = json_string_value(
        json_array_get(json_object_get(cfg, "architectures"), 0));
    for (const struct lm_family *f = lm_families; f->model_type; f++)
        if (type ? strcmp(f->model_type, type) == 0
                 : first && strcmp(f->architecture, first) == 0)
            return f;
    err_set(err, ERR_UNSUPPORTED, "this kind of language model is not read (found \"%s\", "
            "expected gpt2, gpt_neox, llama or gemma2)",
            type ? type : first ? first : "no model_type");
    return NULL;
}

bool lm_configure(const struct lm_family *family, const json_t *cfg, struct lm_config *out,
                  struct err *err)
{
    struct lm_config c = {.embed_scale = 1, .rope = {.factor = 1, .attention = 1}};
    if (!need(cfg, "vocab_size", LM_MAX_VOCAB, &c.vocab, err) ||
        !family->configure(cfg, &c, err) ||
        !json_get_bool(cfg, "tie_word_embeddings", &c.tied, err))
        return false;
    c.tied_said = json_is_boolean(json_object_get(cfg, "tie_word_embeddings"));
    if (c.n_heads * c.d_head > LM_MAX_DIM || c.d_mlp > LM_MAX_DIM)
        return err_set(err, ERR_RANGE, "heads are too large (found %lld of %lld, expected a "
                       "product up to %lld)", (long long)c.n_heads, (long long)c.d_head,
                       (long long)LM_MAX_DIM);
    if (c.rope.dims % 2)
        return err_set(err, ERR_SHAPE, "bad rotary dimensions (found %lld of a head of %lld, "
                       "expected an even number)", (long long)c.rope.dims, (long long)c.d_head);
    *out = c;
    return true;
}
