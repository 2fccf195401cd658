/* dialect_clt.c - see dialect_clt.h. */
#include "model/dialect_clt.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/container.h"
#include "io/mem.h"

#define ENCODER "W_enc_"
#define DECODER "W_dec_"
#define TAIL    ".safetensors"

long clt_layer_of(const char *file)
{
    char *end;
    size_t n = strlen(ENCODER);
    if (strncmp(file, ENCODER, n) != 0 || !isdigit((unsigned char)file[n]))
        return -1;
    long layer = strtol(file + n, &end, 10);
    return strcmp(end, TAIL) == 0 && layer < 1000000 ? layer : -1;
}

/* "blocks.3.hook_mlp_out" as that of another layer. */
static void move_hook(struct sae *sae, long layer)
{
    char *end, *moved;
    if (!sae->hook_out || strncmp(sae->hook_out, "blocks.", 7) != 0 ||
        !isdigit((unsigned char)sae->hook_out[7]))
        return;
    strtol(sae->hook_out + 7, &end, 10);
    moved = xasprintf("blocks.%ld%s", layer, end);
    free(sae->hook_out);
    sae->hook_out = moved;
}

bool clt_decoder(struct sae *sae, const struct tensor *W_dec, long first, long own,
                 const struct tensor **decoder, bool *is_own, struct err *err)
{
    char shape[64];
    if (!W_dec || W_dec->ndim != 3 || W_dec->shape[1] < 1)
        return err_set(err, W_dec ? ERR_SHAPE : ERR_MISSING, "there is no decoder of a "
                       "cross-layer transcoder (found %s, expected [d_sae, targets, d_out])",
                       W_dec ? tensor_shape_text(W_dec, shape, sizeof shape) : "none");
    long last = first + (long)W_dec->shape[1] - 1;
    long layer = sae->options.decoder_layer ? sae->options.decoder_layer - 1 : own;
    if (own > last)
        return err_set(err, ERR_SHAPE, "%s has no target for its own layer (found %s, expected "
                       "[d_sae, more than %ld, d_out])", W_dec->name,
                       tensor_shape_text(W_dec, shape, sizeof shape), own - first);
    if (layer < own || layer > last)
        return err_set(err, ERR_RANGE, "--decoder-layer: the features do not write there "
                       "(found %ld, expected %ld to %ld)", layer, own, last);
    struct tensor *view = sae_add_view(sae);
    *view = *W_dec;
    view->ndim = 2;
    view->shape[1] = W_dec->shape[2];
    view->stride[1] = W_dec->stride[2];
    view->data += (layer - first) * W_dec->stride[1] * dtype_info[W_dec->dtype].size;
    *decoder = view;
    sae->cross_layer = true;
    move_hook(sae, layer);
    *is_own = layer == own;
    sae_add_note(sae, "one layer of a cross-layer transcoder: W_dec is what it writes to layer "
                      "%ld of %ld to %ld (--decoder-layer N), where other layers write too: the "
                      "error against a target is not the whole transcoder's", layer, own, last);
    return true;
}

/* NAME_L of the file. */
static const struct tensor *find(const struct container *c, const char *name, long layer)
{
    char full[64];
    snprintf(full, sizeof full, "%s%ld", name, layer);
    return container_find(c, full);
}

/* The directory's decoder of that layer. Owned. */
static char *decoder_path(const struct checkpoint *c, long layer)
{
    char name[64];
    snprintf(name, sizeof name, DECODER "%ld" TAIL, layer);
    return checkpoint_sibling(c, name);
}

bool clt_bind(struct sae *sae, const struct checkpoint *c, const char *file,
              const struct progress *progress, struct err *err)
{
    long layer = clt_layer_of(file);
    char *path = checkpoint_sibling(c, file), *dec_path = decoder_path(c, layer);
    struct container *enc = dialect_container(sae, path, progress, err);
    struct container *dec = enc ? dialect_container(sae, dec_path, progress, err) : NULL;
    struct dialect_tensors t = {.transcodes = true};
    bool own, ok = dec && (clt_decoder(sae, find(dec, DECODER, layer), layer, layer, &t.W_dec,
                                       &own, err) || err_path(err, dec_path));
    if (ok) {
        t.W_enc = find(enc, ENCODER, layer);
        t.b_enc = find(enc, "b_enc_", layer);
        t.b_dec = own ? find(enc, "b_dec_", layer) : NULL;
        t.no_b_dec = !own;
        t.threshold = find(enc, "threshold_", layer);
        sae->arch = sae_arch_find(t.threshold ? "jumprelu" : "standard");
        ok = dialect_bind(sae, &t, path, err) &&
             (sae->arch->check(sae, err) || err_path(err, path));
    }
    free(path);
    free(dec_path);
    return ok;
}
