//! The model: embedding, encoder, decoder and output projection.

use burn::module::{Module, Param};
use burn::nn::{Embedding, EmbeddingConfig, Initializer, Linear};
use burn::tensor::{Bool, DType, Device, FloatDType, Int, Tensor};

use crate::feed_forward::linear;
use crate::generate::RoundedHead;
use crate::position::SelfBias;
use crate::{
    Decoder, Encoder, IGNORED_LABEL, KvCache, NoTaps, Recompute, T5Config, Taps, index, taps,
};

/// A T5 for conditional generation.
///
/// The base model never knows of prompts: [`T5::encode`] takes embeddings, so a caller can put anything
/// before them.
#[derive(Module, Debug)]
pub struct T5 {
    /// Embedding of encoder and decoder, `[vocabulary, d_model]`.
    pub shared: Embedding,
    /// Encoder stack.
    pub encoder: Encoder,
    /// Decoder stack.
    pub decoder: Decoder,
    /// Output projection `[d_model, vocabulary]`; absent where it is tied to the embedding.
    pub lm_head: Option<Linear>,
    #[module(skip)]
    config: T5Config,
    #[module(skip)]
    pub(crate) recompute: Recompute,
    #[module(skip)]
    pub(crate) rounded_head: RoundedHead,
}

/// What the decoder attends to.
#[derive(Clone, Debug)]
pub struct EncoderOutput {
    /// `[batch, length, d_model]`.
    pub hidden: Tensor<3>,
    /// `[batch, length]`: 1 for real positions, 0 for padding.
    pub mask: Tensor<2>,
}

impl EncoderOutput {
    /// That of these rows of the batch.
    pub fn select(&self, rows: &[usize]) -> Self {
        let rows = index(rows, &self.hidden.device());
        Self {
            hidden: self.hidden.clone().select(0, rows.clone()),
            mask: self.mask.clone().select(0, rows),
        }
    }
}

impl T5 {
    /// Random weights, as transformers' `T5PreTrainedModel._init_weights` draws them (factor 1).
    ///
    /// Parameters are created on first use; call [`Module::materialize`] after [`Device::seed`] for
    /// weights that do not depend on the order of use.
    pub fn init(config: &T5Config, device: &Device) -> Self {
        Self::with_head(config, !config.tie_word_embeddings, device)
    }

    pub(crate) fn with_head(config: &T5Config, own_head: bool, device: &Device) -> Self {
        Self {
            shared: EmbeddingConfig::new(config.vocab_size, config.d_model)
                .with_initializer(Initializer::Normal {
                    mean: 0.0,
                    std: 1.0,
                })
                .init(device),
            encoder: Encoder::init(config, device),
            decoder: Decoder::init(config, device),
            lm_head: own_head.then(|| linear(config.d_model, config.vocab_size, 1.0, device)),
            config: config.clone(),
            recompute: Recompute::None,
            rounded_head: RoundedHead::default(),
        }
    }

    /// The configuration of the full model: that of a model with layers, neurons or heads left out is still
    /// that of the model that it was made of.
    pub fn config(&self) -> &T5Config {
        &self.config
    }

    /// The device that holds the weights.
    pub fn device(&self) -> Device {
        self.shared.weight.val().device()
    }

    /// Embeddings of `ids`, `[batch, length]` to `[batch, length, d_model]`, in f32.
    pub fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        let embeddings = self.shared.forward(ids);
        match embeddings.dtype() {
            DType::F32 => embeddings,
            _ => embeddings.cast(FloatDType::F32),
        }
    }

    /// Run the encoder on `embeddings`, `[batch, length, d_model]`, under `mask`, `[batch, length]`
    /// (1 = real, 0 = padding).
    pub fn encode(&self, embeddings: Tensor<3>, mask: Tensor<2>) -> EncoderOutput {
        self.encode_tapped(embeddings, mask, &mut NoTaps)
    }

    /// [`T5::encode`] with a look at the activations.
    pub fn encode_tapped(
        &self,
        embeddings: Tensor<3>,
        mask: Tensor<2>,
        taps: &mut dyn Taps,
    ) -> EncoderOutput {
        EncoderOutput {
            hidden: self.encoder.forward(embeddings, mask.clone(), taps),
            mask,
        }
    }

    /// Logits `[batch, length, vocabulary]` of the decoder for `ids`, `[batch, length]`, that follow what
    /// is in `cache`. Without a cache `ids` are all there are, as in teacher forcing, and there is less to do.
    pub fn decode(
        &self,
        ids: Tensor<2, Int>,
        encoded: &EncoderOutput,
        cache: Option<&mut KvCache>,
    ) -> Tensor<3> {
        self.decode_tapped(ids, encoded, cache, &mut NoTaps)
    }

    /// [`T5::decode`] with a look at the activations.
    pub fn decode_tapped(
        &self,
        ids: Tensor<2, Int>,
        encoded: &EncoderOutput,
        cache: Option<&mut KvCache>,
        taps: &mut dyn Taps,
    ) -> Tensor<3> {
        let hidden = self.decoder.forward(self.embed(ids), encoded, cache, taps);
        self.head(hidden, taps)
    }

    /// What the head multiplies, `[batch, 1, d_model]`, to logits of what follows `last`, `[batch, 1]`.
    pub(crate) fn before_head(
        &self,
        last: Tensor<2, Int>,
        encoded: &EncoderOutput,
        cache: &mut KvCache,
    ) -> Tensor<3> {
        let embeddings = self.embed(last);
        let hidden = self
            .decoder
            .forward(embeddings, encoded, Some(cache), &mut NoTaps);
        self.scaled(hidden)
    }

    /// Logits `[batch, hypotheses, vocabulary]` of what follows the last ids of some hypotheses about each row of
    /// `encoded`. Cache and `own_bias` take the hypotheses for positions, so that they share what is read of `encoded`.
    pub(crate) fn decode_hypotheses(
        &self,
        last: Tensor<2, Int>,
        own_bias: &SelfBias,
        encoded: &EncoderOutput,
        cache: &mut KvCache,
    ) -> Tensor<3> {
        let taps = &mut NoTaps;
        let embeddings = self.embed(last);
        let hidden = self
            .decoder
            .forward_biased(embeddings, own_bias, encoded, Some(cache), taps);
        self.head(hidden, taps)
    }

    /// Give a head that is tied to the embedding weights of its own, which are those of the embedding.
    pub(crate) fn untie_head(&mut self) {
        if self.lm_head.is_some() {
            return;
        }
        self.config.scale_decoder_outputs.get_or_insert(true);
        self.lm_head = Some(Linear {
            weight: Param::from_tensor(self.shared.weight.val().transpose()),
            bias: None,
        });
    }

    /// Decoder inputs for `labels`, `[batch, length]`: the start token, then all labels but the last, with
    /// ignored ones as padding.
    pub fn shift_right(&self, labels: Tensor<2, Int>) -> Tensor<2, Int> {
        let [batch, length] = labels.dims();
        let start = Tensor::<2, Int>::full(
            [batch, 1],
            self.config.decoder_start_token_id as i32,
            &labels.device(),
        );
        let ignored: Tensor<2, Bool> = labels.clone().equal_scalar(IGNORED_LABEL);
        let labels = labels.mask_fill(ignored, self.config.pad_id() as i32);
        Tensor::cat(vec![start, labels.slice([0..batch, 0..length - 1])], 1)
    }

    /// Logits of decoder outputs.
    fn head(&self, hidden: Tensor<3>, sink: &mut dyn Taps) -> Tensor<3> {
        taps::product(
            self.scaled(hidden),
            self.head_weight(),
            FloatDType::F32,
            sink,
        )
    }

    /// Decoder outputs as the head multiplies them: where it is tied to the embedding, scaled by `d_model^-0.5`.
    fn scaled(&self, hidden: Tensor<3>) -> Tensor<3> {
        let scaled = self
            .config
            .scale_decoder_outputs
            .unwrap_or(self.lm_head.is_none());
        if scaled {
            hidden * (self.config.d_model as f64).powf(-0.5)
        } else {
            hidden
        }
    }

    /// The output projection, `[d_model, vocabulary]`.
    pub(crate) fn head_weight(&self) -> Tensor<2> {
        match &self.lm_head {
            Some(head) => head.weight.val(),
            None => self.shared.weight.val().transpose(),
        }
    }
}
