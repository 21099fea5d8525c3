#include "partita/Codegen/Passes.h"
#include "partita/Conversion/NNToRT.h"
void partita::registerCodegenPasses() { registerNNToRTPasses(); }
