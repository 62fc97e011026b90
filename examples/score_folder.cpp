// Score pictures with an artefact in C++: onnxruntime, and OpenCV to decode.
//
//     g++ -std=c++17 score_folder.cpp -o score_folder $(pkg-config --cflags --libs opencv4) \
//         -I ONNXRUNTIME/include -L ONNXRUNTIME/lib -lonnxruntime
//     ./score_folder oe.onnx pictures/*.jpg
//
// One line of JSON for each picture. The file itself resizes frames of any size, so no rule of
// preprocessing is needed here but three: upright and RGB, as OpenCV does it, without transparency.

#include <onnxruntime_cxx_api.h>

#include <array>
#include <cstdint>
#include <iostream>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

int main(int count, char** arguments) {
  Ort::Env environment(ORT_LOGGING_LEVEL_WARNING, "score_folder");
  Ort::Session session(environment, arguments[1], Ort::SessionOptions{});
  const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  const std::array<const char*, 1> inputs{"images"};
  const std::array<const char*, 3> outputs{"label", "is_ood", "pvalue"};
  for (int index = 2; index < count; ++index) {
    cv::Mat picture = cv::imread(arguments[index], cv::IMREAD_COLOR);
    if (picture.empty()) {
      std::cerr << arguments[index] << ": cannot be decoded\n";
      continue;
    }
    cv::cvtColor(picture, picture, cv::COLOR_BGR2RGB);
    const std::array<std::int64_t, 4> shape{1, picture.rows, picture.cols, 3};
    auto images = Ort::Value::CreateTensor<std::uint8_t>(
        memory, picture.data, picture.total() * 3, shape.data(), shape.size());
    auto found = session.Run(Ort::RunOptions{}, inputs.data(), &images, 1, outputs.data(), 3);
    std::cout << "{\"path\": \"" << arguments[index]
              << "\", \"label_index\": " << found[0].GetTensorData<std::int64_t>()[0]
              << ", \"is_ood\": " << (found[1].GetTensorData<bool>()[0] ? "true" : "false")
              << ", \"pvalue\": " << found[2].GetTensorData<float>()[0] << "}\n";
  }
}
