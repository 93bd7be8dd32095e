/* Hears speech in a recording with an exported model and ONNX Runtime's C API alone.
 *
 *     streamrnn export vad vad.onnx
 *     cc -O2 -o vad vad.c $(pkg-config --cflags --libs libonnxruntime) -lm
 *     ./vad vad.onnx recording.wav            (16 bits, mono, at the model's sample rate)
 *
 * Debian 13 has ONNX Runtime in libonnxruntime-dev. docs/export.md says what to do elsewhere, and how a model is run.
 */

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <onnxruntime_c_api.h>

typedef struct {
    int sample_rate, block_samples, late_blocks;
    double frame_s, lookahead_s;
    double threshold, off_threshold;
    int min_speech_frames, min_silence_frames;
} About;

/* One live stream: the arrays before a step and after it. The first of them is sound, or the probability of speech. */
typedef struct {
    OrtEnv *env;
    OrtSession *session;
    OrtAllocator *allocator;
    size_t arrays;
    char **names, **next_names;
    OrtValue **now, **next;
    float *pcm, *probability;
    char *json;
    About about;
} Stream;

typedef struct {
    int onset, last_speech, is_speaking;
} Speech;

typedef struct {
    FILE *file;
    size_t samples_left;
} Wave;

static const OrtApi *ort;

static _Noreturn void stop(const char *message, ...) {
    va_list values;
    va_start(values, message);
    vfprintf(stderr, message, values);
    va_end(values);
    fputc('\n', stderr);
    exit(1);
}

static void check(OrtStatus *status) {
    if (status != NULL) stop("ONNX Runtime: %s", ort->GetErrorMessage(status));
}

static void *zeros(size_t count, size_t bytes) {
    void *memory = calloc(count, bytes);
    if (memory == NULL) stop("There is not enough memory.");
    return memory;
}

/* What the model says of itself. */

/* The first number of that name: none that is needed comes later than others. Within strings, quotes have a backslash. */
static double number(const char *json, const char *name) {
    char key[64];
    snprintf(key, sizeof key, "\"%s\": ", name);
    const char *found = strstr(json, key);
    if (found == NULL) stop("The model says nothing of %s. Export a voice activity model.", name);
    return strtod(found + strlen(key), NULL);
}

static int frames(const char *json, const char *name) {
    /* Rounding first keeps 70 ms at 7 frames of 0.01 s. */
    double exact = round(1e6 * number(json, name) / 1000 / number(json, "frame_s")) / 1e6;
    return exact > 1 ? (int)ceil(exact) : 1;
}

static About read_about(const char *json) {
    if (number(json, "format") != 1) stop("The model has another format than 1. Export it again.");
    if (strstr(json, "\"kind\": \"step\"") == NULL) stop("The model takes whole recordings. Export it without --scan.");
    return (About){
        .sample_rate = (int)number(json, "sample_rate"),
        .block_samples = (int)number(json, "block_samples"),
        .late_blocks = (int)number(json, "warm_up_frames"),
        .frame_s = number(json, "frame_s"),
        .lookahead_s = number(json, "lookahead_s"),
        .threshold = number(json, "threshold"),
        .off_threshold = number(json, "off_threshold"),
        .min_speech_frames = frames(json, "min_speech_ms"),
        .min_silence_frames = frames(json, "min_silence_ms"),
    };
}

/* The number with which a state array begins. In the file a state lists its name first and `initial` last, if at all. */
static double initial(const char *json, const char *state) {
    char key[256];
    snprintf(key, sizeof key, "\"name\": \"%s\", ", state);
    const char *found = strstr(json, key), *end = found == NULL ? NULL : strchr(found, '}');
    if (end == NULL) stop("The model says nothing of %s. Export it again.", state);
    const char *value = strstr(found, "\"initial\": ");
    if (value == NULL || value > end) return 0;
    value += strlen("\"initial\": ");
    if (*value == '[') stop("%s begins with several numbers, and this program fills an array with one.", state);
    return strtod(value, NULL);
}

static void read_metadata(Stream *stream) {
    OrtModelMetadata *metadata;
    check(ort->SessionGetModelMetadata(stream->session, &metadata));
    check(ort->ModelMetadataLookupCustomMetadataMap(metadata, stream->allocator, "streamrnn", &stream->json));
    if (stream->json == NULL) stop("The file says nothing of itself. Make it with: streamrnn export vad vad.onnx");
    stream->about = read_about(stream->json);
    ort->ReleaseModelMetadata(metadata);
}

/* The stream. */

static OrtSession *open_session(OrtEnv *env, const char *path) {
    OrtSessionOptions *options;
    OrtSession *session;
    check(ort->CreateSessionOptions(&options));
    /* A step is too small to be shared out. */
    check(ort->SetIntraOpNumThreads(options, 1));
    check(ort->CreateSession(env, path, options, &session));
    ort->ReleaseSessionOptions(options);
    return session;
}

/* An array for one stream, filled with a number, as a fresh state is. */
static OrtValue *make_array(OrtAllocator *allocator, const OrtTypeInfo *type, double value) {
    const OrtTensorTypeAndShapeInfo *info;
    ONNXTensorElementDataType element;
    OrtValue *array;
    size_t axes, count = 1;
    void *data;
    check(ort->CastTypeInfoToTensorInfo(type, &info));
    check(ort->GetTensorElementType(info, &element));
    check(ort->GetDimensionsCount(info, &axes));
    int64_t *shape = zeros(axes, sizeof *shape);
    check(ort->GetDimensions(info, shape, axes));
    shape[0] = 1;
    for (size_t axis = 0; axis < axes; axis++) count *= (size_t)shape[axis];
    check(ort->CreateTensorAsOrtValue(allocator, shape, axes, element, &array));
    check(ort->GetTensorMutableData(array, &data));
    for (size_t n = 0; n < count; n++) {
        if (element == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32) ((int32_t *)data)[n] = (int32_t)value;
        else ((float *)data)[n] = (float)value;
    }
    free(shape);
    return array;
}

static void open_array(Stream *stream, size_t n) {
    OrtTypeInfo *type;
    check(ort->SessionGetInputName(stream->session, n, stream->allocator, &stream->names[n]));
    check(ort->SessionGetInputTypeInfo(stream->session, n, &type));
    stream->now[n] = make_array(stream->allocator, type, n == 0 ? 0 : initial(stream->json, stream->names[n]));
    ort->ReleaseTypeInfo(type);
    check(ort->SessionGetOutputName(stream->session, n, stream->allocator, &stream->next_names[n]));
    check(ort->SessionGetOutputTypeInfo(stream->session, n, &type));
    stream->next[n] = make_array(stream->allocator, type, 0);
    ort->ReleaseTypeInfo(type);
}

static Stream open_stream(const char *path) {
    Stream stream = {0};
    check(ort->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "vad", &stream.env));
    check(ort->GetAllocatorWithDefaultOptions(&stream.allocator));
    stream.session = open_session(stream.env, path);
    read_metadata(&stream);
    check(ort->SessionGetInputCount(stream.session, &stream.arrays));
    stream.names = zeros(stream.arrays, sizeof *stream.names);
    stream.next_names = zeros(stream.arrays, sizeof *stream.next_names);
    stream.now = zeros(stream.arrays, sizeof *stream.now);
    stream.next = zeros(stream.arrays, sizeof *stream.next);
    /* Inputs are pcm and the states; outputs, in the same order, outputs and the next states. */
    for (size_t n = 0; n < stream.arrays; n++) open_array(&stream, n);
    check(ort->GetTensorMutableData(stream.now[0], (void **)&stream.pcm));
    check(ort->GetTensorMutableData(stream.next[0], (void **)&stream.probability));
    return stream;
}

/* The probability of speech after the block in stream->pcm. */
static double step(Stream *stream) {
    check(ort->Run(stream->session, NULL, (const char *const *)stream->names, (const OrtValue *const *)stream->now,
                   stream->arrays, (const char *const *)stream->next_names, stream->arrays, stream->next));
    for (size_t n = 1; n < stream->arrays; n++) {
        OrtValue *before = stream->now[n];
        stream->now[n] = stream->next[n];
        stream->next[n] = before;
    }
    return *stream->probability;
}

static void close_stream(Stream *stream) {
    for (size_t n = 0; n < stream->arrays; n++) {
        ort->ReleaseValue(stream->now[n]);
        ort->ReleaseValue(stream->next[n]);
        check(ort->AllocatorFree(stream->allocator, stream->names[n]));
        check(ort->AllocatorFree(stream->allocator, stream->next_names[n]));
    }
    check(ort->AllocatorFree(stream->allocator, stream->json));
    free(stream->now);
    free(stream->next);
    free(stream->names);
    free(stream->next_names);
    ort->ReleaseSession(stream->session);
    ort->ReleaseEnv(stream->env);
}

/* The decision. */

/* The event of frame t, or NULL. */
static const char *decide(Speech *speech, const About *about, double probability, int t) {
    if (probability >= (speech->onset < 0 ? about->threshold : about->off_threshold)) {
        if (speech->onset < 0) speech->onset = t;
        speech->last_speech = t;
        if (speech->is_speaking || t - speech->onset + 1 < about->min_speech_frames) return NULL;
        speech->is_speaking = 1;
        return "speech_start";
    }
    if (!speech->is_speaking) speech->onset = -1;
    if (!speech->is_speaking || t - speech->last_speech < about->min_silence_frames) return NULL;
    speech->onset = -1;
    speech->is_speaking = 0;
    return "speech_end";
}

/* The recording. */

static unsigned long little_endian(const unsigned char *bytes, int count) {
    unsigned long value = 0;
    while (count-- > 0) value = value << 8 | bytes[count];
    return value;
}

static void check_format(FILE *file, unsigned long bytes, int sample_rate) {
    unsigned char format[16];
    if (bytes < 16 || fread(format, 1, 16, file) != 16) stop("The recording is damaged.");
    unsigned long kind = little_endian(format, 2), channels = little_endian(format + 2, 2);
    unsigned long rate = little_endian(format + 4, 4), bits = little_endian(format + 14, 2);
    if (kind != 1 || channels != 1 || bits != 16 || rate != (unsigned long)sample_rate)
        stop("The recording has another format. Needed are 16 bits, mono, %d Hz. Convert it first.", sample_rate);
    fseek(file, (long)(bytes - 16 + bytes % 2), SEEK_CUR);
}

static Wave open_wave(const char *path, int sample_rate) {
    unsigned char header[12], chunk[8];
    FILE *file = fopen(path, "rb");
    if (file == NULL) stop("%s can't be opened.", path);
    size_t got = fread(header, 1, sizeof header, file);
    if (got != sizeof header || memcmp(header, "RIFF", 4) != 0 || memcmp(header + 8, "WAVE", 4) != 0)
        stop("%s is no WAVE file.", path);
    while (fread(chunk, 1, sizeof chunk, file) == sizeof chunk) {
        unsigned long bytes = little_endian(chunk + 4, 4);
        if (memcmp(chunk, "data", 4) == 0) return (Wave){file, bytes / 2};
        if (memcmp(chunk, "fmt ", 4) == 0) check_format(file, bytes, sample_rate);
        else fseek(file, (long)(bytes + bytes % 2), SEEK_CUR);
    }
    stop("%s holds no sound.", path);
}

/* Fills the block, with zeros after the recording's end. Returns how many samples came from the recording. */
static int read_block(Wave *wave, float *block, int block_samples) {
    unsigned char bytes[2];
    int count = 0;
    for (int n = 0; n < block_samples; n++) {
        block[n] = 0;
        if (wave->samples_left == 0 || fread(bytes, 1, 2, wave->file) != 2) continue;
        block[n] = (float)(int16_t)little_endian(bytes, 2) / 32768;
        wave->samples_left--;
        count++;
    }
    return count;
}

int main(int arguments, char **argument) {
    if (arguments != 3) stop("Usage: %s MODEL.onnx RECORDING.wav", argument[0]);
    ort = OrtGetApiBase()->GetApi(ORT_API_VERSION);
    if (ort == NULL)
        stop("ONNX Runtime %s is older than this program's header. Build it again.", OrtGetApiBase()->GetVersionString());
    Stream stream = open_stream(argument[1]);
    const About *about = &stream.about;
    Wave wave = open_wave(argument[2], about->sample_rate);
    Speech speech = {.onset = -1};
    /* Outputs run late_blocks behind: they are warm-up at first, and as many blocks of zeros push the last ones out. */
    int late = about->late_blocks;
    for (int t = -late; read_block(&wave, stream.pcm, about->block_samples) > 0 || late-- > 0; t++) {
        double probability = step(&stream);
        const char *event = t < 0 ? NULL : decide(&speech, about, probability, t);
        if (event == NULL) continue;
        printf("%6.2f s  %s\n", (t + 1) * about->frame_s + about->lookahead_s, event);
        fflush(stdout);
    }
    fclose(wave.file);
    close_stream(&stream);
    return 0;
}
